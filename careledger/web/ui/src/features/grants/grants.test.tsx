import { beforeEach, expect, it, vi } from "vitest";
import { begin, termsOf } from "./composer.tsx";
import { type Decision, standingOf } from "./decisions.ts";
import { type Caller, callerOf, compare, compareWithdrawal, decide, rulesOf, type Thing, type Why } from "./effects.ts";
import { NotItsKey, withdraw, withdrawByCode } from "./signing.ts";
import type { Node } from "../../lib/node.ts";

const gesture = vi.hoisted(() => ({ ask: vi.fn() }));
vi.mock("../../lib/gesture.ts", async (original) => ({ ...(await original<object>()), ...gesture }));

const HOUSE = "did:careledger:house";
const TODAY = 20_780; // 2026-11-23
const NOW = TODAY * 86_400_000;
const DENY: Decision = {
  id: "d1", effect: "deny", grantees: ["practitioner:osei"], purposes: [], types: ["MedicationRequest"], categories: [], labels: [], actions: ["access"], from: "2026-11-01", until: "2027-01-01",
  status: "active", bound: true, supersedes: "", granted: "2026-11-01T00:00:00Z",
};
const OSEI = callerOf({ kind: "practitioner", value: "osei" }, HOUSE);

beforeEach(() => { gesture.ask.mockReset(); });

it("says of each decision how it stands on a day", () => {
  const later: Decision = { ...DENY, id: "d2", supersedes: "d1" };
  expect(standingOf(DENY, [DENY], TODAY)).toBe("holds");
  expect(standingOf(DENY, [DENY, later], TODAY)).toBe("replaced");
  expect(standingOf(DENY, [DENY, { ...later, status: "revoked" }], TODAY)).toBe("holds");
  expect(standingOf({ ...DENY, status: "revoked" }, [DENY], TODAY)).toBe("withdrawn");
  expect(standingOf({ ...DENY, bound: false }, [DENY], TODAY)).toBe("unbound");
  expect(standingOf({ ...DENY, until: "2026-11-22" }, [DENY], TODAY)).toBe("over");
  expect(standingOf({ ...DENY, from: "2026-11-24" }, [DENY], TODAY)).toBe("later");
});

it("shows what a permit for everything leaves forbidden, and what withdrawing a refusal opens", () => {
  const form = { ...begin("permit", { kind: "practitioner", value: "osei", name: "Osei" }, NOW), purposes: ["HRESCH"] };
  const terms = termsOf(form, NOW);
  if (terms === undefined) throw new Error("the form is complete");
  const told = compare([DENY], terms, OSEI, []).map((one) => [one.thing.type, one.before, one.after]);
  expect(told).toEqual([["MedicationRequest", "denied", "denied"], ["*", "nothing", "allowed"]]);
  const opened = compareWithdrawal([DENY], DENY, OSEI, ["TREAT"], TODAY).map((one) => [one.thing.type, one.before, one.after]);
  expect(opened).toEqual([["MedicationRequest", "denied", "house"], ["*", "house", "house"]]);
});

it("lets nothing be signed that has no purpose, no period, or nobody", () => {
  const whom = { kind: "practitioner", value: "osei", name: "Osei" } as const;
  expect(termsOf(begin("permit", undefined, NOW), NOW)).toBeUndefined();
  expect(termsOf({ ...begin("permit", whom, NOW), purposes: [] }, NOW)).toBeUndefined();
  expect(termsOf({ ...begin("permit", whom, NOW), until: "2026-11-22" }, NOW)).toBeUndefined();
  expect(termsOf({ ...begin("permit", whom, NOW), from: "" }, NOW)).toBeUndefined();
  expect(termsOf(begin("deny", whom, NOW), NOW)?.purposes).toEqual([]);
});

it("hands no withdrawal in that another key would have to sign", async () => {
  const told = vi.fn();
  const prepared = { active: true, nonce: "11".repeat(32), key: "22".repeat(1952), genesis_hash: "33".repeat(32), sponsor: "did:careledger:1", sequence: 0, valid_until: 1 };
  const node = { api: () => Promise.resolve({ ...prepared, sponsor: "44".repeat(32) }), tell: told } as unknown as Node;
  gesture.ask.mockResolvedValue({ signature: new Uint8Array(), secrets: { seed: new Uint8Array(32), code: new Uint8Array(32) } });
  await expect(withdraw(node, "p", "ab".repeat(32), "00")).rejects.toBeInstanceOf(NotItsKey);
  expect(told).not.toHaveBeenCalled();
});

it("takes a printed code as people type it, and nothing that is none", async () => {
  const told = vi.fn().mockResolvedValue({});
  const node = { tell: told } as unknown as Node;
  await withdrawByCode(node, "p", "ab", ` ${"0123ABCD-".repeat(8)}`);
  expect(told).toHaveBeenCalledWith("/charts/p/consents/ab/revoke", { code: "0123abcd".repeat(8) });
  await expect(withdrawByCode(node, "p", "ab", "0123")).rejects.toBeInstanceOf(RangeError);
});

interface Case {
  readonly decisions: readonly Decision[];
  readonly caller: Caller;
  readonly purpose: string;
  readonly thing: Thing;
  readonly day: number;
  readonly why: Why;
}

it("decides as the node does", async () => {
  const place = (globalThis as { process?: { env: Readonly<Record<string, string | undefined>> } }).process?.env["CARELEDGER_DECISIONS"];
  const files = "node:fs/promises";
  const { readFile } = (await import(/* @vite-ignore */ files)) as { readonly readFile: (path: string, encoding: string) => Promise<string> };
  const cases = place === undefined ? [] : (JSON.parse(await readFile(place, "utf8")) as readonly Case[]);
  for (const one of cases) expect(decide(rulesOf(one.decisions, one.day), one.caller, one.purpose, one.thing), JSON.stringify(one)).toBe(one.why);
});
