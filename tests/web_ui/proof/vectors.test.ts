/** The browser's verifier says what vectors/ say. Run by tests/web_ui/test_proof.py. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { answer } from "../lib/proof/answering.ts";
import {
  concat,
  hex,
  readBase64,
  readBase64Url,
  toBase64Url,
  unhex,
  utf8,
  type Bytes,
} from "../lib/proof/bytes.ts";
import {
  checkCommit,
  hashHeader,
  type Block,
  type Commit,
  type Header,
  type Validators,
} from "../lib/proof/engine.ts";
import { sha256 } from "../lib/proof/hashing.ts";
import { type Heads } from "../lib/proof/heads.ts";
import { advanceLight, readKind, verifyExport, verifyReceipt, type Verdict } from "../lib/proof/index.ts";
import { checkStep } from "../lib/proof/networks.ts";
import { Refused } from "../lib/proof/refused.ts";
import { checkSignature, hasNative, verifyNative, verifyPortable } from "../lib/proof/signatures.ts";
import { checkConsistency, leafHash, logRoot, mapRoot, treeRoot } from "../lib/proof/trees.ts";

const read = (name: string) => JSON.parse(readFileSync(`${process.env["VECTORS"]}/${name}.json`, "utf8"));
const receipts = read("receipts");
const exported = read("exports");

function levelOf(verdict: Verdict<{ readonly level: string }>): string {
  return verdict.ok ? verdict.level : "refused";
}

async function codeOf(check: () => Promise<unknown> | unknown): Promise<string> {
  try {
    await check();
    return "";
  } catch (error) {
    if (error instanceof Refused) return error.code;
    throw error;
  }
}

/** Codes of what the vectors' names say. */
const RECEIPT_CODES: Readonly<Record<string, string>> = {
  fork: "fork",
  "other-body": "body",
  "unnamed-witnesses": "note-signer",
  "index+1": "path-long",
  "path-drop-last": "path-short",
  "map-padded-bitmap": "map-bitmap",
  "unknown-field": "fields",
  "true-for-one": "number",
  "loose-bits": "base64",
  "note-s-plus-l": "signature-scalar",
  "other-chain": "other-ledger",
};

test("receipts", async () => {
  for (const one of receipts.cases) {
    const body = one.body === null ? undefined : utf8(one.body);
    const verdict = await verifyReceipt(utf8(one.receipt), utf8(receipts.trusts[one.trust]), { body });
    assert.equal(levelOf(verdict), one.expected, one.name);
    const code = RECEIPT_CODES[one.name];
    if (code !== undefined) assert.equal(verdict.ok ? "" : verdict.code, code, one.name);
    if (verdict.ok) assert.equal(verdict.isBodyChecked, one.body !== null);
  }
  assert.equal(receipts.cases.length, 41);
});

/** Other spellings of the same receipt, and what only JavaScript would take for it. */
const SPELLINGS: Readonly<Record<string, (text: string) => string>> = {
  "a space": (text) => ` ${text}`,
  "a line feed": (text) => `${text}\n`,
  "a byte order mark": (text) => `\ufeff${text}`,
  "another order": (text) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).reverse())),
  "an escape": (text) => text.replace("careledger/receipt", "\\u0063areledger/receipt"),
  "a key twice": (text) => text.replace('{"anchor"', '{"anchor":0,"anchor"'),
  "half a character": (text) => text.replace(/"author":"[^"]*"/, '"author":"\\ud800"'),
  "a number of another form": (text) => text.replace(/"index":(\d+)/, '"index":$1.0'),
  "minus nothing": (text) => text.replace(/"index":\d+/, '"index":-0'),
  "a number without end": (text) => text.replace(/"index":\d+/, `"index":1${"0".repeat(400)}`),
  "a field of every object": (text) => text.replace('"anchor":{', '"__proto__":{},"anchor":{'),
  "nesting without end": () => `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  nothing: () => "",
};

test("a receipt has one spelling", async () => {
  const held = receipts.cases[0];
  for (const [name, change] of Object.entries(SPELLINGS)) {
    const changed = change(held.receipt);
    assert.notEqual(changed, held.receipt, name);
    const verdict = await verifyReceipt(utf8(changed), utf8(receipts.trusts[held.trust]));
    const codes = name === "a field of every object" ? ["fields"] : ["not-json", "not-canonical"];
    assert.ok(!verdict.ok && codes.includes(verdict.code), `${name}: ${JSON.stringify(verdict)}`);
  }
  const halved = utf8(held.receipt).map((byte) => (byte === 0x61 ? 0xff : byte)); // no UTF-8
  assert.equal((await verifyReceipt(halved, utf8(receipts.trusts[held.trust]))).ok, false);
  const large = new Uint8Array(1_000_001).fill(0x20);
  const verdict = await verifyReceipt(large, utf8(receipts.trusts[held.trust]));
  assert.equal(verdict.ok ? "" : verdict.code, "too-large");
});

const EXPORT_CODES: Readonly<Record<string, string>> = {
  "entry-removed": "heads-apart",
  "other-note": "note-chain",
  "access-cut": "heads-apart",
  "entry-withheld": "withheld",
  "version-dropped": "entry-version",
  "redated-resource": "entry-redated",
  "access-decided-after-the-block": "access-height",
  "chart-of-an-unknown-checkpoint": "export-since",
  "directive-bound-by-another-key": "directive-forged",
  "directive-revoked-before": "access-denied",
  "dated-an-entry-of-yesterday": "dated-back",
  "dated-a-look-that-saw-an-old-state": "access-stale",
  "later-with-an-entry-gone": "pin-begins",
};

async function judgeExports({ cases, trusts }: any): Promise<void> {
  for (const one of cases) {
    const earlier = typeof one.earlier === "string" ? utf8(one.earlier) : undefined;
    const trust = utf8(trusts[one.trust]);
    const verdict = await verifyExport(utf8(one.export), trust, earlier, { nowMs: 0 });
    assert.equal(levelOf(verdict), one.expected, one.name);
    const code = EXPORT_CODES[one.name];
    if (code !== undefined) assert.equal(verdict.ok ? "" : verdict.code, code, one.name);
  }
}

test("exports", async () => {
  await judgeExports(exported);
  assert.ok(exported.cases.length >= 103);
});

test("an export continues the sizes and roots that a device kept, or is refused", async () => {
  const later = exported.cases.find((one: { name: string }) => one.name === "later");
  const [trust, file] = [utf8(exported.trusts[later.trust]), utf8(later.export)];
  const before = await verifyExport(utf8(later.earlier), trust, undefined, { nowMs: 0 });
  const now = await verifyExport(file, trust, undefined, { nowMs: 0 });
  assert.ok(before.ok && now.ok);
  const codeSince = async (since: Heads) => {
    const verdict = await verifyExport(file, trust, undefined, { nowMs: 0, since });
    return verdict.ok ? "" : verdict.code;
  };
  const { record, access } = before.heads;
  assert.ok(record.size < now.heads.record.size);
  for (const heads of [before.heads, now.heads]) assert.equal(await codeSince(heads), "");
  assert.equal(await codeSince({ access, record: { ...record, root: access.root } }), "earlier-entry");
  assert.equal(await codeSince({ record, access: { ...access, root: record.root } }), "earlier-access");
  assert.equal(await codeSince({ record, access: { ...access, size: access.size + 1 } }), "earlier-access");
  const more = { ...now.heads.record, size: now.heads.record.size + 1 };
  assert.equal(await codeSince({ access, record: more }), "earlier-entry");
  const other = { ...now.heads.record, root: record.root };
  assert.equal(await codeSince({ access, record: other }), "earlier-entry");
});

test("exports of charts whose key is a passkey", async () => {
  const passkeys = read("passkeys");
  await judgeExports(passkeys);
  assert.ok(passkeys.cases.length >= 32);
});

test("what a network signs", async () => {
  const { cases, files, trusts } = read("networks");
  for (const one of cases) {
    const [file, trust] = [utf8(files[one.file]), utf8(trusts[one.trust])];
    const verdict =
      readKind(file) === "receipt"
        ? await verifyReceipt(file, trust, { nowMs: one.now_ms })
        : await verifyExport(file, trust, undefined, { nowMs: one.now_ms });
    assert.equal(levelOf(verdict), one.expected, one.name);
  }
  assert.ok(cases.length > 60);
});

test("where the browser does not know ML-DSA, the portable code gives the same answer", async (context) => {
  const directive = exported.cases.find((one: { name: string }) => one.name === "directive");
  const controller = JSON.parse(directive.export).entries.find(
    (one: { kind: string }) => one.kind === "guardian",
  );
  const publicKey = readBase64Url(JSON.parse(controller.body).key);
  const bound = JSON.parse(directive.export).entries.find(
    (one: { kind: string }) => one.kind === "directive",
  );
  const binding = readBase64Url(JSON.parse(bound.body).binding);
  assert.ok(publicKey !== null && binding !== null && (await hasNative("ML-DSA-65")));
  const digest = unhex(bound.id);
  for (const at of [-1, 0, 700, 3308]) {
    const signature: Bytes = binding.map((byte, place) => (place === at ? byte ^ 1 : byte));
    for (const verify of [verifyNative, verifyPortable]) {
      assert.equal(await verify("ML-DSA-65", publicKey, signature, digest), at < 0, `${verify.name} ${at}`);
    }
  }
  assert.equal(await verifyPortable("ML-DSA-65", publicKey, binding, sha256(digest)), false);
  // Without WebCrypto's, from another import of the module: it asks but once.
  const importKey = crypto.subtle.importKey.bind(crypto.subtle);
  const forget = (format: never, key: never, name: unknown, ...rest: readonly never[]): Promise<CryptoKey> =>
    typeof name === "object"
      ? Promise.reject(new TypeError("unknown"))
      : importKey(format, key, name as never, ...(rest as [never, never]));
  context.mock.method(crypto.subtle, "importKey", forget as never);
  const elsewhere: typeof import("../lib/proof/signatures.ts") = await import(
    "../lib/proof/signatures.ts?portable" as never
  );
  assert.equal(await elsewhere.hasNative("ML-DSA-65"), false);
  await elsewhere.checkSignature(publicKey, binding, digest);
  const spoiled = binding.map((byte, place) => (place === 9 ? byte ^ 1 : byte));
  assert.equal(await codeOf(() => elsewhere.checkSignature(publicKey, spoiled, digest)), "signature");
});

test("logs", async () => {
  const { consistency, entries, inclusion, roots } = read("log");
  const leaves = entries.map(unhex);
  for (const [size, root] of roots.entries()) assert.equal(hex(treeRoot(leaves.slice(0, size))), root);
  for (const { index, path, size } of inclusion) {
    assert.equal(hex(logRoot(leaves[index], index, size, concat(...path.map(unhex)))), roots[size]);
  }
  const alone = leafHash(leaves[0]);
  assert.equal(await codeOf(() => logRoot(leaves[0], 1, 1, new Uint8Array())), "index-outside");
  assert.deepEqual(logRoot(leaves[0], 0, 1, new Uint8Array()), alone);
  for (const { new: now, old, path } of consistency) {
    const check = (way: Bytes, root = roots[now]) =>
      checkConsistency(old, unhex(roots[old]), now, unhex(root), way);
    const way = concat(...path.map(unhex));
    check(way);
    assert.notEqual(await codeOf(() => check(concat(way, leafHash(way)))), "");
    assert.notEqual(await codeOf(() => check(way, roots[now - 1])), "");
    if (path.length > 0) assert.notEqual(await codeOf(() => check(way.subarray(32))), "");
  }
});

/** A proof as vectors/map.json writes it, as a path: count, an optional sibling for each depth, the other leaf. */
function readMapProof(proof: Bytes): { readonly path: Bytes; readonly other: Bytes | undefined } {
  const depths = new DataView(proof.buffer).getUint32(0);
  const siblings: Bytes[] = [];
  const bitmap = new Uint8Array(32);
  let [at, deepest] = [4, 0];
  for (let depth = 0; depth < depths; depth += 1) {
    at += 1;
    if (proof[at - 1] === 0) continue;
    siblings.push(proof.subarray(at, at + 32));
    at += 32;
    bitmap[depth >> 3] = (bitmap[depth >> 3] ?? 0) | (128 >> (depth & 7));
    deepest = depth + 1;
  }
  const used = Math.ceil(deepest / 8);
  const path = concat(Uint8Array.of(used), bitmap.subarray(0, used), ...siblings);
  return { path, other: proof[at] === 1 ? proof.subarray(at + 1) : undefined };
}

test("maps", async () => {
  for (const { proofs, root } of read("map").cases) {
    for (const { key, proof, value } of proofs) {
      const { path, other } = readMapProof(unhex(proof));
      const held = value === null ? null : unhex(value);
      assert.equal(hex(mapRoot(unhex(key), held, path, other)), root);
      if (other !== undefined) {
        assert.equal(await codeOf(() => mapRoot(other.subarray(0, 32), null, path, other)), "map-other");
      }
    }
  }
});

const POINTS = ["small-order-point", "non-canonical-point"];

test("Ed25519 in its strict form", async () => {
  const { cases, message } = read("ed25519");
  for (const { key, refused, signature, why } of cases) {
    const code = await codeOf(() => checkSignature(unhex(key), unhex(signature), unhex(message)));
    assert.equal(code === "", refused === undefined || refused === null, why);
    if (POINTS.includes(refused)) assert.equal(code, "signature-point", why);
  }
});

interface EngineTime {
  readonly time: number;
  readonly nanos: number;
}

/** A time as the engine's RPC prints it. */
function readTime(text: string): EngineTime {
  const [seconds = "", fraction = ""] = text.slice(0, -1).split(".");
  const nanos = Number(fraction.padEnd(9, "0"));
  return { time: Date.parse(`${seconds}Z`) + Math.floor(nanos / 1_000_000), nanos: nanos % 1_000_000 };
}

function readHeader(header: any): Header {
  const digests = Object.entries(header).filter(([name]) => name.endsWith("_hash"));
  const { version, height, time, last_block_id: last, proposer_address: proposer } = header;
  const read = {
    ...Object.fromEntries(digests.map(([name, digits]) => [name, unhex(digits as string)])),
    ...readTime(time),
    height: Number(height),
    proposer: unhex(proposer),
    version: { app: Number(version.app), block: Number(version.block) },
  };
  const named = { hash: unhex(last.hash), parts: unhex(last.parts.hash), total: last.parts.total };
  return (last.hash === "" ? read : { ...read, last: named }) as Header;
}

/** A commit without votes for nil and absent ones, as files write it; null if it is none of this header. */
function readCommit(commit: any, header: any, hash: string): Commit | null {
  const isOfHeader = commit.height === header.height && commit.block_id.hash === hash;
  const voted = commit.signatures.map((vote: any, index: number) => ({ vote, index }));
  const votes = voted.filter(({ vote }: any) => vote.block_id_flag === 2);
  const signatures = votes.map(({ vote, index }: any) => ({
    index,
    ...readTime(vote.timestamp),
    signature: readBase64(vote.signature),
  }));
  const { hash: parts, total } = commit.block_id.parts;
  return isOfHeader ? { parts: unhex(parts), round: commit.round, total, signatures } : null;
}

function readValidators(answer: any): Validators {
  return answer.validators.map((one: any) => {
    const raw = readBase64(one.pub_key.value);
    return {
      alg: raw?.length === 32 ? "ed25519" : "ml-dsa-65",
      power: Number(one.voting_power),
      public: raw,
    };
  });
}

test("a step holds exactly if it does for the engine's own light client", async () => {
  const { blocks, cases, chain } = read("engine_light");
  for (const [name, { commit, hash }] of Object.entries<any>(blocks)) {
    const { header } = commit.signed_header;
    assert.equal(hex(hashHeader(readHeader(header), header.chain_id)).toUpperCase(), hash, name);
  }
  const readBlock = async (name: string): Promise<Block> => {
    const { header, commit } = blocks[name].commit.signed_header;
    const votes = readCommit(commit, header, blocks[name].hash);
    if (votes === null || header.chain_id !== chain) throw new Refused("other-ledger");
    return checkCommit(readHeader(header), votes, readValidators(blocks[name].validators), chain);
  };
  for (const { trusted, block, now, holds } of cases) {
    const point = await readBlock(trusted);
    const code = await codeOf(async () => checkStep(point, await readBlock(block), BigInt(now)));
    assert.equal(code === "", holds, `${trusted} to ${block}: ${code}`);
  }
});

test("files say what they are, and the worker answers every question", async () => {
  const [receipt, chart] = [receipts.cases[0], exported.cases[0]];
  assert.deepEqual(
    [receipt.receipt, chart.export, exported.trusts["3"], "{}"].map((text) => readKind(utf8(text))),
    ["receipt", "chart", "checkpoint", "unknown"],
  );
  const trust = utf8(receipts.trusts[receipt.trust]);
  const held = await answer({ id: 7, kind: "receipt", files: { file: utf8(receipt.receipt), trust } });
  assert.deepEqual([held.id, held.result.ok], [7, true]);
  const whole = await answer({
    id: 8,
    kind: "export",
    files: { file: utf8(chart.export), trust: utf8(exported.trusts[chart.trust]) },
  });
  assert.deepEqual([whole.id, whole.result.ok], [8, true]);
  const broken = await answer({ id: 9, kind: "receipt", files: { file: null as never, trust } });
  assert.deepEqual(broken.result.ok ? "" : broken.result.code, "defect");
});

test("an embedded ledger's trusted checkpoint moves on with an export, and keeps what the reader demands", async () => {
  const chart = exported.cases.find((one: { name: string }) => one.name === "chart-since-3");
  const old = utf8(JSON.stringify({ ...JSON.parse(exported.trusts["3"]) }));
  const moved = await advanceLight(old, utf8(chart.export), 0);
  if (!moved.ok) {
    assert.equal(moved.code, "trust-unsigned"); // an export's note need not bear every key's signature
    return;
  }
  assert.ok(moved.asOf.height > 2);
  assert.equal(
    levelOf(await verifyExport(utf8(chart.export), moved.trust, undefined, { nowMs: 0 })),
    "anchored",
  );
  assert.equal(levelOf(await advanceLight(moved.trust, utf8(chart.export), 0)), "anchored");
});

test("base64url is written as it is read", () => {
  for (let size = 0; size < 70; size += 1) {
    const bytes = sha256(utf8(`${size}`)).subarray(0, size);
    assert.deepEqual(readBase64Url(toBase64Url(bytes)), bytes);
    assert.equal(toBase64Url(bytes), Buffer.from(bytes).toString("base64url"));
  }
  for (const wrong of ["A", "AB", "AAB", "A===", "AA==", "a b=", "é", "AA\n"])
    assert.equal(readBase64Url(wrong), null);
});
