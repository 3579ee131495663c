import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { readAccount } from "./account.tsx";
import { readNews } from "./live.ts";
import { type Entry, grantee, group, joinLogs, kindOf, seenIn } from "./log.ts";
import { Looks } from "./page.tsx";
import type { Node } from "../../lib/node.ts";

vi.mock("@tanstack/react-router", async (original) => ({ ...(await original<object>()), Link: () => null, useNavigate: () => () => undefined }));
vi.mock("../../lib/context.ts", () => ({ usePresent: () => ({ node: {}, house: { name: "Clinic" } }) }));

const MINUTE = 60_000;
const FIRST: Entry = {
  index: 0, time_ms: 1_795_450_000_000, who: { id: "osei", subject: "osei", name: "Dr. Osei", roles: [] }, client: "chart", organisation: { did: "did:careledger:1", name: "Clinic" },
  purpose: "TREAT", action: "search", what: "Observation?patient=", reason: "", resources: ["Observation/a"], versions: 20, permitted: true, rule: "custodian-default", directives: [], height: 1,
};
const entry = (index: number, minutes: number, more: Partial<Entry> = {}): Entry => ({ ...FIRST, index, time_ms: FIRST.time_ms + minutes * MINUTE, ...more });

afterEach(() => { document.body.replaceChildren(); });

it("makes one look of what one person did in one sitting, and none of two persons, purposes or rights", () => {
  const other = { who: { ...FIRST.who, id: "brandt" } };
  const entries = [entry(6, 100), entry(5, 30, { purpose: "HRESCH" }), entry(4, 21, { rule: "emergency" }), entry(3, 20), entry(2, 11, other), entry(1, 10), entry(0, 0)];
  expect(group(entries).map((look) => look.entries.map((one) => one.index))).toEqual([[6], [5], [4], [3, 1, 0], [2]]);
});

it("tells an emergency, a refusal, herself and the house apart", () => {
  expect(kindOf(entry(0, 0, { rule: "emergency" }))).toBe("emergency");
  expect(kindOf(entry(0, 0, { purpose: "ETREAT" }))).toBe("emergency");
  expect(kindOf(entry(0, 0, { rule: "directive-deny", permitted: false }))).toBe("refused");
  expect(kindOf(entry(0, 0, { rule: "own-chart" }))).toBe("mine");
  expect(kindOf(entry(0, 0, { rule: "operator" }))).toBe("house");
  expect(kindOf(FIRST)).toBe("care");
});

it("counts everything that was shown, named or not", () => {
  const mixed = entry(1, 0, { resources: ["Condition/a", "Observation/b"], versions: 5 });
  expect([...seenIn([FIRST, mixed])]).toEqual([["Observation", 21], ["", 3], ["Condition", 1]]);
  expect(seenIn([entry(0, 0, { resources: ["Patient/p"], versions: 0 })]).size).toBe(0);
});

it("names whom a decision can name, and nobody for herself and the house", () => {
  expect(grantee(FIRST)).toEqual({ kind: "practitioner", value: "osei" });
  expect(grantee(entry(0, 0, { who: { id: "lab", subject: "", name: "", roles: [] } }))).toEqual({ kind: "organisation", value: "did:careledger:1" });
  expect(grantee(entry(0, 0, { rule: "own-chart" }))).toBeUndefined();
  expect(grantee(entry(0, 0, { rule: "operator" }))).toBeUndefined();
});

it("holds each entry once, whatever pages it came with", () => {
  const page = (entries: readonly Entry[]) => ({ entries, total: 3, next: null });
  expect(joinLogs([page([entry(2, 2), entry(1, 1)]), page([entry(1, 1), entry(0, 0)])]).map((one) => one.index)).toEqual([2, 1, 0]);
});

it("shows others first, the emergency with its reason, and her own looks when she asks for them", () => {
  i18n.load("en", {});
  i18n.activate("en");
  const emergency = entry(2, 5, { rule: "emergency", purpose: "ETREAT", action: "emergency", reason: "unconscious", versions: 0, resources: [] });
  const mine = entry(3, 6, { rule: "own-chart", who: { id: "Patient/p", subject: "", name: "", roles: [] } });
  const { container } = render(<I18nProvider i18n={i18n}><Looks entries={[mine, emergency, FIRST]} more={undefined} isBusy={false} pages={1} /></I18nProvider>);
  expect(container.querySelectorAll(".looks > li")).toHaveLength(2);
  expect(container.querySelector(".looks > li.emergency")?.textContent).toContain("unconscious");
  const [kind] = screen.getAllByRole("combobox");
  if (kind !== undefined) fireEvent.change(kind, { target: { value: "mine" } });
  expect(container.querySelectorAll(".looks > li.mine")).toHaveLength(1);
});

it("says what happened to her account, each thing by itself, by the names that the log has", () => {
  i18n.load("en", {});
  i18n.activate("en");
  const news = (index: number, what: string): Entry => entry(index, index, { action: "account", what, rule: "operator", who: { id: `a${index}`, subject: "", name: "", roles: [] }, resources: [], versions: 0 });
  const lines = [
    "an account of this patient was made, by an invitation of Ruth Odum, approved by Ana Sol",
    "the account of this patient was disabled by the organisation's operator",
    "this patient's account was recovered: a new passkey replaced all former ones",
    "something newer than this page",
  ];
  const { container } = render(<I18nProvider i18n={i18n}><Looks entries={lines.map((what, index) => news(index, what)).reverse()} more={undefined} isBusy={false} pages={1} /></I18nProvider>);
  const said = [...container.querySelectorAll(".looks > li.account")].map((one) => one.textContent ?? "").reverse();
  expect(said).toHaveLength(4);
  expect(said[0]).toContain("by an invitation of Ruth Odum, approved by Ana Sol.");
  expect(said[1]).toContain("switched off by the house's technicians");
  expect(said[2]).toContain("If that was not you");
  expect(said[3]).toContain("“something newer than this page”");
  expect(grantee(news(0, "recovered"))).toBeUndefined();
  expect(readAccount("the account of this patient was linked: sign-in at the organisation's own provider")?.told).toBe("linked");
});

it("asks ever more seldom while nothing but her own looks is new, and at once when somebody else's is", async () => {
  const mine = (index: number): Entry => entry(index, index, { rule: "own-chart" });
  const logs = [[mine(8)], [mine(9)], [entry(10, 10), mine(11)]].map((entries, at) => ({ entries, total: [9, 10, 12][at] ?? 0, next: null }));
  const heard: number[] = [];
  const read = readNews({ api: () => Promise.resolve(logs.shift()) } as unknown as Node, "maria", 8, (log) => void heard.push(log.total));
  const head = { records: 1, accesses: 9, height: 1 };
  const pauses = [];
  for (let turn = 0; turn < 3; turn += 1) pauses.push((await read(head, new AbortController().signal))?.pauseMs);
  expect(pauses).toEqual([8_000, 16_000, 4_000]);
  expect(heard).toEqual([9, 10, 12]);
});
