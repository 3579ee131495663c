// Run by tests/web_ui/test_copies_lib.py, with vectors/copies.json in the place that COPIES names, and copies of several chunks.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as copies from "./copies.ts";
import type { Bytes } from "./encoding.ts";
import { newKit, readKit, toHex } from "./directives.ts";
import { keepWraps, OtherKit, prepareCopies } from "./enrolling.ts";

interface Vectors {
  readonly key: { readonly copy_key: string };
  readonly secrets: { readonly passkey: string; readonly kit: string; readonly "key-file": string };
  readonly salts: Vectors["secrets"];
  readonly credential: string;
  readonly prf_input: string;
  readonly wraps: string;
  readonly copy: { readonly file: string; readonly chart: string; readonly access_log: string };
  readonly refused: Readonly<Record<string, string>>;
}

const read = (hex: string): Bytes => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const vectors = JSON.parse(readFileSync(process.env["COPIES"] ?? "", "utf8")) as Vectors;
const file = read(vectors.copy.file);
const kit = read(vectors.secrets.kit);
const KINDS = { passkey: copies.PASSKEY, kit: copies.KIT, "key-file": copies.KEY_FILE } as const;

async function open(data: Uint8Array, kind: number = copies.KIT, secret: Bytes = kit): Promise<readonly string[]> {
  const parts = await copies.openCopy(data, await copies.unwrapKey(copies.readHeader(data), kind, secret));
  return parts.map((part) => new TextDecoder().decode(part));
}

test("each of her secrets opens the copy", async () => {
  assert.ok(copies.isCopy(file));
  for (const [name, kind] of Object.entries(KINDS)) {
    const secret = read(vectors.secrets[name as keyof typeof KINDS]);
    assert.deepEqual(await open(file, kind, secret), [vectors.copy.chart, vectors.copy.access_log]);
    assert.equal(hex(await copies.unwrapKey(copies.readHeader(file), kind, secret)), vectors.key.copy_key);
  }
});

test("no other secret does, nor one of another kind", async () => {
  for (const kind of Object.values(KINDS)) {
    await assert.rejects(open(file, kind, new Uint8Array(32)), { code: "not-yours" });
  }
  await assert.rejects(open(file, copies.PASSKEY, kit), { code: "not-yours" });
});

test("wraps are made as the node takes them", async () => {
  const [key, credential] = [read(vectors.key.copy_key), read(vectors.credential)];
  const made = await Promise.all(
    Object.entries(KINDS).map(([name, kind]) => {
      const of = name as keyof typeof KINDS;
      return copies.wrapKey(key, kind, read(vectors.secrets[of]), read(vectors.salts[of]), kind === copies.PASSKEY ? credential : undefined);
    }),
  );
  assert.equal(hex(copies.encodeWraps(made.toReversed())), vectors.wraps);
  assert.equal(hex(copies.prfInput(read(vectors.salts.passkey))), vectors.prf_input);
});

test("what must be refused is", async () => {
  for (const [why, data] of Object.entries(vectors.refused)) await assert.rejects(open(read(data)), copies.CopyRefused, why);
});

test("every altered byte and every cut is refused", async () => {
  for (let at = 0; at < file.length; at++) {
    const altered = file.slice();
    altered[at] = (altered[at] ?? 0) ^ 0x80;
    await assert.rejects(open(altered), copies.CopyRefused, `byte ${at}`);
    await assert.rejects(open(file.subarray(0, at)), copies.CopyRefused, `cut at ${at}`);
  }
});

test("chunks have their places", async () => {
  const whole = new Uint8Array(readFileSync(process.env["LARGE"] ?? ""));
  assert.equal((await open(whole))[0]?.length, 3 * 65_536);
  const start = 4 + copies.readHeader(whole).encoded.length;
  const size = 65_536 + 16;
  const chunks = Array.from({ length: 4 }, (_, at) => whole.subarray(start + at * size, start + (at + 1) * size));
  for (const order of [[0, 2, 1, 3], [0, 1, 3], [0, 1, 2], [0, 1, 1, 3], [0, 1, 2, 3, 3], [3], []]) {
    const moved = Buffer.concat([whole.subarray(0, start), ...order.map((at) => chunks[at] ?? new Uint8Array())]);
    await assert.rejects(open(new Uint8Array(moved)), copies.CopyRefused, order.join());
  }
});

test("a kit is read as it was printed", () => {
  const code = "51515151-".repeat(8).slice(0, -1);
  assert.equal(hex(readKit(` ${code.toUpperCase()}\n`).secret), "51".repeat(32));
  assert.throws(() => readKit(code.slice(1)), RangeError);
});

test("wraps are made for the kit that was printed, and for no other", async () => {
  const [printed, other] = [newKit(), newKit()];
  const given = { key: vectors.key.copy_key, epoch: 3, key_id: "k", credential: vectors.credential, recovery: toHex(printed.recovery) };
  const told: [string, object][] = [];
  const tell = (path: string, content: object): Promise<unknown> => {
    told.push([path, content]);
    return Promise.resolve(path.endsWith("options") ? given : {});
  };
  for (const code of [other.code, "", "12"]) await assert.rejects(prepareCopies(tell, code), OtherKit);
  assert.ok(told.every(([path]) => path === "/me/copies/options"), "nothing is handed in");
  const [prf, salt] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  await keepWraps(tell, { kit: readKit(printed.code).secret, prf, salt });
  const said = told.at(-1)?.[1] as { readonly wraps: string };
  assert.deepEqual(said, { epoch: 3, key_id: "k", wraps: said.wraps });
  for (const secret of [toHex(prf), toHex(readKit(printed.code).secret), vectors.key.copy_key]) assert.ok(!JSON.stringify(told.slice(1)).replace(JSON.stringify(given), "").includes(secret));
});
