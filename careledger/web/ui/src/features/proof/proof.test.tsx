import { beforeEach, expect, it, vi } from "vitest";
import { asRaw } from "../../lib/encoding.ts";
import type { Node } from "../../lib/node.ts";
import { checkHeads } from "../../lib/proof/heads.ts";
import { treeRoot } from "../../lib/proof/trees.ts";
import { checkNow } from "./checking.ts";
import type { Kept } from "./keeping.ts";
import { writePdf } from "./pdf.ts";
import { reasonOf } from "./reasons.ts";
import { readCode, writeCode } from "./sheet-code.ts";
import { crc32, pack } from "./zip.ts";

const keeping = vi.hoisted(() => ({ keep: vi.fn(), readKept: vi.fn(), nameOf: vi.fn(), open: vi.fn(), seal: vi.fn() }));
const verifier = vi.hoisted(() => ({ verify: vi.fn() }));
vi.mock("./keeping.ts", () => keeping);
vi.mock("./verifier.ts", () => verifier);

const encoder = new TextEncoder();
const bytes = (text: string): Uint8Array<ArrayBuffer> => asRaw(encoder.encode(text));
const HEADS = { record: { size: 3, root: "aa" }, access: { size: 2, root: "bb" } };
const KEPT: Kept = { trust: bytes('{"mode":"embedded","of":"before"}'), heads: HEADS, handle: "h", checkedMs: 1, height: 1 };
const GOOD = { ok: true, handle: "h", heads: HEADS, asOf: { height: 2 }, trust: bytes("newer") };
const NODE = { file: (path: string) => Promise.resolve(bytes(path === "/checkpoint" ? '{"mode":"embedded","of":"house"}' : "export")) } as unknown as Node;

beforeEach(() => {
  vi.clearAllMocks();
  keeping.nameOf.mockResolvedValue("name");
  keeping.keep.mockResolvedValue(true);
  verifier.verify.mockResolvedValue({ verdict: GOOD, tookMs: 1 });
});

it("checks against what this device trusted and saw before, not against what the house says now", async () => {
  keeping.readKept.mockResolvedValue(KEPT);
  const checked = await checkNow(NODE, "p", false, () => undefined);
  expect(verifier.verify.mock.calls[0]?.[0]).toMatchObject({ kind: "export", files: { trust: KEPT.trust }, since: HEADS });
  expect(checked.isKept).toBe(true);
  expect(keeping.keep.mock.calls[0]?.[1]).toMatchObject({ trust: bytes("newer"), heads: HEADS, handle: "h" });
});

it("asks for the lines of just those witnesses that its trust file names: any other would have to be refused", async () => {
  const asked: string[] = [];
  const node = { file: (path: string) => { asked.push(path); return Promise.resolve(bytes("export")); } } as unknown as Node;
  keeping.readKept.mockResolvedValue(KEPT);
  await checkNow(node, "p", false, () => undefined);
  const keys = [{ alg: "ed25519", name: "w", public: "k-_1" }, { alg: "ml-dsa-44", name: "v", public: "long" }];
  keeping.readKept.mockResolvedValue({ ...KEPT, trust: bytes(JSON.stringify({ mode: "embedded", witnesses: { k: 1, keys } })) });
  await checkNow(node, "p", false, () => undefined);
  expect(asked).toEqual(["/charts/p/export", "/charts/p/export?witnesses=k-_1"]);
});

it("keeps nothing of a check that was refused, so that the evidence stays", async () => {
  keeping.readKept.mockResolvedValue(KEPT);
  verifier.verify.mockResolvedValue({ verdict: { ok: false, code: "withheld", sentence: "" }, tookMs: 1 });
  expect((await checkNow(NODE, "p", true, () => undefined)).verdict.ok).toBe(false);
  expect(keeping.keep).not.toHaveBeenCalled();
  expect(keeping.seal).not.toHaveBeenCalled();
});

it("takes no other chart for hers", async () => {
  keeping.readKept.mockResolvedValue({ ...KEPT, handle: "another" });
  const { verdict } = await checkNow(NODE, "p", false, () => undefined);
  expect(verdict).toMatchObject({ ok: false, code: "earlier-chart" });
  expect(keeping.keep).not.toHaveBeenCalled();
});

it("believes the house's checkpoint the first time alone", async () => {
  keeping.readKept.mockResolvedValue(undefined);
  await checkNow(NODE, "p", false, () => undefined);
  expect(verifier.verify.mock.calls[0]?.[0].files.trust).toEqual(bytes('{"mode":"embedded","of":"house"}'));
  expect(keeping.seal).not.toHaveBeenCalled();
});

it("goes to the network's newest header first, from the one that this device trusts, and keeps where that led", async () => {
  const trust = bytes('{"header":{"height":40},"mode":"network"}');
  keeping.readKept.mockResolvedValue({ ...KEPT, trust });
  const asked: string[] = [];
  const node = { ...NODE, api: (path: string) => { asked.push(path); return Promise.resolve({ signed: { header: { height: 41 } } }); } } as unknown as Node;
  const newest = bytes('{"header":{"height":41},"mode":"network"}');
  verifier.verify.mockResolvedValueOnce({ verdict: { ok: true, trust: newest }, tookMs: 1 });
  await checkNow(node, "p", false, () => undefined);
  expect(asked).toEqual(["/ledger/trust?height=40"]);
  expect(verifier.verify.mock.calls[0]?.[0]).toEqual({ kind: "light", files: { file: bytes('{"header":{"height":41}}'), trust } });
  expect(verifier.verify.mock.calls[1]?.[0].files.trust).toEqual(newest);
  expect(keeping.keep.mock.calls[0]?.[1].trust).toEqual(newest);
  verifier.verify.mockResolvedValueOnce({ verdict: { ok: false, code: "third", sentence: "" }, tookMs: 1 });
  expect((await checkNow(node, "p", false, () => undefined)).verdict.ok).toBe(false);
  expect(keeping.keep).toHaveBeenCalledTimes(1);
});

it("sees a log that does not begin as it stood: shorter, changed, or another of the same length", () => {
  const leaves = [1, 2, 3, 4].map((one) => new Uint8Array(32).fill(one));
  const head = (count: number) => ({ size: count, root: Array.from(treeRoot(leaves.slice(0, count)), (byte) => byte.toString(16).padStart(2, "0")).join("") });
  const of = (records: number) => ({ record: head(records), access: head(1) });
  const check = (before: ReturnType<typeof of>, now = of(4)) => () => checkHeads(now, leaves.slice(0, now.record.size), leaves.slice(0, 1), before);
  for (const count of [1, 2, 3, 4]) expect(check(of(count))).not.toThrow();
  expect(check(of(4), of(3))).toThrow("gone");
  expect(check({ ...of(2), record: { ...head(2), root: head(3).root } })).toThrow("changed");
  expect(check({ ...of(4), record: { ...head(4), root: head(3).root } })).toThrow("changed");
  expect(check({ ...of(4), access: { size: 2, root: head(2).root } })).toThrow("access");
});

it("writes of a sheet nothing but seals and a checkpoint, and reads back what it wrote", () => {
  const ground = { chain: `cl-${"a1".repeat(16)}`, size: 84, root: "RyHb+kBh/UOd=" };
  const seals = ["s".repeat(43), "_-".repeat(21) + "x"];
  const code = writeCode(seals, ground, "https://house.example");
  expect(code).toBe(`https://house.example/app/proof#v1.${ground.chain}.84.RyHb-kBh_UOd.${seals.join(".")}`);
  expect(readCode(new URL(code).hash)).toEqual({ chain: ground.chain, size: 84, root: "RyHb-kBh_UOd", seals });
  for (const wrong of ["", "#", "#v2.x", `#v1.${ground.chain}.84.r.<script>`, `#v1.${ground.chain}.84.r`, `#v1.${ground.chain}.84.r.${Array(13).fill(seals[0]).join(".")}`]) expect(readCode(wrong)).toBeUndefined();
});

it("packs an archive whose places and sums are right", () => {
  expect(crc32(encoder.encode("123456789"))).toBe(0xcbf43926);
  const archive = pack([{ name: "a.txt", data: bytes("hello") }, { name: "b", data: bytes("") }]);
  const view = new DataView(archive.buffer);
  const end = archive.length - 22;
  expect([view.getUint32(end, true), view.getUint16(end + 10, true)]).toEqual([0x06054b50, 2]);
  const central = view.getUint32(end + 16, true);
  expect([view.getUint32(central, true), view.getUint32(central + 16, true), view.getUint32(central + 24, true)]).toEqual([0x02014b50, crc32(encoder.encode("hello")), 5]);
  expect(view.getUint32(0, true)).toBe(0x04034b50);
});

it("writes a PDF whose text cannot leave its string, and whose table of places is right", () => {
  const file = new TextDecoder("latin1").decode(writePdf([{ text: "a) Tj (b\\ ñ 漢", size: 10 }, { text: "x".repeat(9000), size: 12 }], [[true, false]], 20));
  expect(file).toContain("(a\\) Tj \\(b\\\\ \\361 ?) Tj");
  const start = Number(/startxref\n(\d+)/.exec(file)?.[1]);
  expect(file.slice(start, start + 4)).toBe("xref");
  const places = [...file.slice(start).matchAll(/^(\d{10}) 00000 n /gm)].map((found) => Number(found[1]));
  expect(places.length).toBeGreaterThan(7); // more than one page
  places.forEach((place, index) => expect(file.slice(place, place + 10)).toContain(`${index + 1} 0 obj`));
});

it("calls a house that does not know what this device saw a past that is gone, not an old file", () => {
  for (const code of ["export-since", "export-older"] as const) {
    expect(reasonOf(code, true)).toBe(reasonOf("history-parts"));
    expect(reasonOf(code)).not.toBe(reasonOf("history-parts"));
  }
});
