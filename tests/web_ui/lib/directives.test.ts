// Run by tests/web_ui/test_directives.py, with vectors/directives.json in the place that DIRECTIVES names.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ml_dsa65 } from "@noble/post-quantum/ml-dsa.js";
import * as directives from "./directives.ts";
import { composeShown } from "./shown.ts";
import { encodeAssertion, readDer } from "./gesture.ts";
import type { Bytes } from "./encoding.ts";

interface Case {
  readonly name: string;
  readonly prepared: directives.Prepared;
  readonly terms: directives.Terms;
  readonly language: "en" | "es";
  readonly nonce: string;
  readonly salt: string;
  readonly text: string;
  readonly shown: string;
  readonly id: string;
  readonly prf_inputs: readonly [string, string];
  readonly prf: readonly [string, string];
  readonly assertion: { readonly authenticator_data: string; readonly client_data: string; readonly der: string };
  readonly binding: string;
  readonly key: string;
  readonly revocation_hash: string;
  readonly grant_body: string;
  readonly revocation_body: string;
  readonly entry: string;
}

interface Enrolment {
  readonly raw: string;
  readonly rp_id: string;
  readonly origin: string;
  readonly key: string;
  readonly id: string;
  readonly challenge: string;
  readonly recovery: string;
}

const vectors = JSON.parse(readFileSync(process.env["DIRECTIVES"] ?? "", "utf8")) as {
  readonly cases: readonly Case[];
  readonly enrolment: Enrolment;
};
const hex = (bytes: Uint8Array): string => directives.toHex(new Uint8Array(bytes));
const unhex = (text: string): Bytes => directives.fromHex(text);

function draft(one: Case): directives.Draft {
  return directives.compose(one.terms, one.prepared, one.language, unhex(one.nonce), unhex(one.salt));
}

for (const one of vectors.cases) {
  test(`${one.name}: what is shown and signed is what the node composes`, () => {
    const made = draft(one);
    assert.equal(made.shown, one.shown);
    assert.equal(new TextDecoder().decode(made.text), one.text);
    assert.equal(hex(made.commitment), one.id);
    assert.ok(one.text.includes(JSON.stringify(made.shown)), "the text holds the lines");
  });

  test(`${one.name}: one gesture gives binding, key and code`, () => {
    const made = draft(one);
    assert.deepEqual(directives.prfInputs(made.nonce).map(hex), one.prf_inputs);
    const { authenticator_data, client_data, der } = one.assertion;
    const binding = encodeAssertion(unhex(authenticator_data), unhex(client_data), unhex(der));
    assert.equal(hex(binding), one.binding);
    const grant = directives.sign(made, one.prepared, { seed: unhex(one.prf[0]), code: unhex(one.prf[1]) }, binding);
    assert.equal(grant.key, one.key);
    assert.equal(grant.revocation_hash, one.revocation_hash);
    assert.equal(grant.binding, one.binding);
    const body = directives.grantBody(made, one.prepared, unhex(one.key), unhex(one.revocation_hash));
    assert.equal(hex(body), one.grant_body);
    assert.ok(ml_dsa65.verify(unhex(grant.signature), directives.transactionId(body), unhex(one.key)));
    const revocation = directives.signRevocation(one.id, one.prepared, unhex(one.prf[0]));
    const revoked = directives.revocationBody(unhex(one.id), one.prepared, unhex(revocation.key));
    assert.equal(hex(revoked), one.revocation_body);
    assert.ok(ml_dsa65.verify(unhex(revocation.signature), directives.transactionId(revoked), unhex(one.key)));
  });

  test(`${one.name}: an entry that is not hers is seen`, () => {
    const made = draft(one);
    const grant = directives.sign(made, one.prepared, { seed: unhex(one.prf[0]), code: unhex(one.prf[1]) }, unhex(one.binding));
    const entry = unhex(one.entry);
    assert.ok(directives.isHers(hex(entry), grant, made));
    for (let at = 0; at < entry.length - 8; at++) {
      const other = new Uint8Array(entry);
      other[at] = (other[at] ?? 0) ^ 1;
      assert.ok(!directives.isHers(hex(other), grant, made), `byte ${at}`);
    }
    assert.ok(!directives.isHers(hex(entry.subarray(1)), grant, made));
  });
}

test("a name that the node does not know is its DID alone, and names of objects are no names", () => {
  const terms = { ...(vectors.cases[0] as Case).terms, grantees: [{ kind: "practitioner", value: "constructor" }] } as const;
  assert.match(composeShown(terms, "did:x", {}, "en"), /^I \w+ access to my record at did:x\.\nWho: constructor\n/);
});

test("a passkey is encoded and enrolled as the node reads it", () => {
  const { raw, rp_id, origin, key, id, challenge } = vectors.enrolment;
  const encoded = directives.passkeyKey(unhex(raw), rp_id, origin);
  assert.equal(hex(encoded), key);
  assert.equal(directives.keyId(encoded), id);
  const prepared = (vectors.cases[0] as Case).prepared;
  assert.equal(hex(directives.enrolmentChallenge(prepared, encoded)), challenge);
  assert.equal(new TextDecoder().decode(directives.continuationChallenge(encoded)), id);
});

test("the printed kit lets another key follow, however it is typed", () => {
  const { code, recovery } = directives.newKit(new Uint8Array(32).fill(7));
  const key = unhex(vectors.enrolment.key);
  assert.equal(hex(recovery), vectors.enrolment.recovery);
  for (const typed of [code, code.toUpperCase(), code.replaceAll("-", " ")])
    assert.ok(ml_dsa65.verify(directives.signWithKit(typed, key), directives.continuationChallenge(key), recovery));
  assert.throws(() => directives.signWithKit(code.slice(1), key), RangeError);
});

test("what is no signature of P-256 is refused", () => {
  const der = unhex((vectors.cases[0] as Case).assertion.der);
  const [n] = [unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")];
  const over = Uint8Array.of(0x30, 2 + 35 + 1, 2, 33, 0, ...n, 2, 1, 1);
  for (const bad of [der.subarray(1), der.subarray(0, -1), Uint8Array.of(...der, 0), over, Uint8Array.of(0x30, 6, 2, 1, 0, 2, 1, 1)])
    assert.throws(() => readDer(new Uint8Array(bad)));
});
