import { ml_dsa65 } from "@noble/post-quantum/ml-dsa.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { toText } from "./base64url.ts";
import { asRaw, countedBytes, joinBytes, u16, u32, u64, u8, type Bytes } from "./encoding.ts";
import type { Language } from "./directive_words.ts";
import { hex as toHex, unhex as fromHex } from "./proof/bytes.ts";
import { composeShown, type Names } from "./shown.ts";

export { fromHex, toHex };

/**
 * What a patient decides, made in her own page (docs/spec/consent.md): the text with the lines that she reads, its
 * commitment, the key that her passkey gives for it, and the transaction. Pure: no network, no DOM, no clock. Nothing is
 * signed here but what was composed here.
 */

export interface Grantee {
  /** A client is an app: such a directive remembers what it was allowed, in the words of its own page. */
  readonly kind: "client" | "organisation" | "practitioner" | "role";
  readonly value: string;
}

export interface Coding {
  readonly code: string;
  readonly system: string;
}

/** What she decides. Lists may be in any order; days are counted from 1970-01-01 UTC, and both count. */
export interface Terms {
  readonly effect: "permit" | "deny";
  readonly grantees: readonly Grantee[];
  readonly actions: readonly ("access" | "proof")[];
  readonly purposes: readonly string[];
  readonly types: readonly string[];
  readonly categories: readonly Coding[];
  readonly labels: readonly Coding[];
  readonly from_day: number;
  readonly until_day: number;
  /** Id of the directive that this one replaces, or "". */
  readonly supersedes: string;
}

/** What the node says about chart and ledger before she decides (`GET /api/charts/{patient}/consents/prepare`). Bytes are
 *  hex. */
export interface Prepared {
  readonly organisation: string;
  readonly handle: string;
  readonly genesis_hash: string;
  readonly sponsor: string;
  readonly sequence: number;
  readonly valid_until: number;
  /** The enrolled key, "" if there is none; `credential` is how her device calls it. */
  readonly key: string;
  readonly credential: string;
  readonly names: Names;
  /** A grant waits a random time up to so many seconds, so that the ledger does not show the hour of the decision. */
  readonly delay_s: number;
}

/** A directive that she can read, and be asked to sign. */
export interface Draft {
  /** The lines to show: exactly these are signed. */
  readonly shown: string;
  readonly language: Language;
  readonly text: Bytes;
  readonly salt: Bytes;
  readonly nonce: Bytes;
  readonly untilDay: number;
  /** The challenge of the gesture; its hex digits are the directive's id. */
  readonly commitment: Bytes;
}

/** What is handed in with `POST /api/charts/{patient}/consents`; bytes are hex. */
export interface Grant {
  readonly text: string;
  readonly salt: string;
  readonly binding: string;
  readonly key: string;
  readonly revocation_hash: string;
  readonly sequence: number;
  readonly valid_until: number;
  readonly signature: string;
}

/** What is handed in with `POST /api/charts/{patient}/consents/{id}/revoke`. */
export interface Revocation {
  readonly key: string;
  readonly sequence: number;
  readonly valid_until: number;
  readonly signature: string;
}

/** The two secrets of one directive, as the passkey's PRF gives them. */
export interface Secrets {
  readonly seed: Bytes;
  /** Revokes without the passkey: for paper. */
  readonly code: Bytes;
}

const GRANT_LANE = 3;
const REVOCATION_LANE = 0;
const GRANT = 401;
const REVOKE = 402;
const ML_DSA_65 = 2;
const encoder = new TextEncoder();

/** H(tag, data) of the protocol. */
export function tagged(tag: string, ...data: readonly Bytes[]): Bytes {
  const name = encoder.encode(tag);
  return asRaw(sha256(joinBytes(u8(name.length), name, ...data)));
}

/** The text of what she decides, with what the page shows of it. `nonce` and `salt` are 32 random bytes each, used once. */
export function compose(terms: Terms, prepared: Prepared, language: Language, nonce: Bytes, salt: Bytes): Draft {
  const shown = composeShown(sort(terms), `did:careledger:${prepared.organisation}`, prepared.names, language);
  return composeAs(shown, terms, prepared, language, nonce, salt);
}

/** As `compose`, where the lines are those of another page that says the same: an app's consent. */
export function composeAs(shown: string, terms: Terms, prepared: Prepared, language: Language, nonce: Bytes, salt: Bytes): Draft {
  const sorted = sort(terms);
  const text = encoder.encode(
    canonical({
      ...sorted,
      format: "careledger/directive/2",
      handle: toText(fromHex(prepared.handle)),
      language,
      nonce: toText(nonce),
      organisation: toText(fromHex(prepared.organisation)),
      shown,
    }),
  );
  const commitment = tagged("cl1.consent", salt, text);
  return { shown, language, text, salt, nonce, untilDay: terms.until_day, commitment };
}

/** What PRF is evaluated on for the directive's key, and for its revocation code. */
export function prfInputs(nonce: Bytes): readonly [Bytes, Bytes] {
  return [tagged("cl1.directive", nonce), tagged("cl1.revocation", nonce)];
}

/** The directive as it is handed in: bound by the passkey's `binding`, granted by the key of its own. */
export function sign(draft: Draft, prepared: Prepared, secrets: Secrets, binding: Bytes): Grant {
  const { publicKey, secretKey } = ml_dsa65.keygen(secrets.seed);
  const revocationHash = tagged("cl1.revocation-code", secrets.code);
  const body = grantBody(draft, prepared, asRaw(publicKey), revocationHash);
  const signature = ml_dsa65.sign(transactionId(body), secretKey);
  return {
    text: toHex(draft.text),
    salt: toHex(draft.salt),
    binding: toHex(binding),
    key: toHex(asRaw(publicKey)),
    revocation_hash: toHex(revocationHash),
    sequence: prepared.sequence,
    valid_until: prepared.valid_until,
    signature: toHex(asRaw(signature)),
  };
}

/** The revocation as it is handed in: by the directive's key, which PRF gives again for its nonce. */
export function signRevocation(id: string, prepared: Envelope, seed: Bytes): Revocation {
  const { publicKey, secretKey } = ml_dsa65.keygen(seed);
  const body = revocationBody(fromHex(id), prepared, asRaw(publicKey));
  return {
    key: toHex(asRaw(publicKey)),
    sequence: prepared.sequence,
    valid_until: prepared.valid_until,
    signature: toHex(asRaw(ml_dsa65.sign(transactionId(body), secretKey))),
  };
}

/** What a transaction holds beside its message. */
export type Envelope = Pick<Prepared, "genesis_hash" | "sponsor" | "sequence" | "valid_until">;

/** The body of the transaction by which the directive comes into force. */
export function grantBody(draft: Draft, envelope: Envelope, key: Bytes, revocationHash: Bytes): Bytes {
  const message = joinBytes(u16(GRANT), draft.commitment, ledgerKey(key), u32(draft.untilDay), revocationHash);
  return transactionBody(envelope, GRANT_LANE, message);
}

/** The body of the transaction that revokes it, by its key. */
export function revocationBody(commitment: Bytes, envelope: Envelope, key: Bytes): Bytes {
  return transactionBody(envelope, REVOCATION_LANE, joinBytes(u16(REVOKE), commitment, u8(1), ledgerKey(key), u8(0)));
}

/** What an authenticator signs. */
export function transactionId(body: Bytes): Bytes {
  return tagged("cl1.tx", body);
}

/**
 * Whether the ledger's entry of a directive is hers: under her key, with her code, until her day, and active. `entry` is
 * what the node answered the grant with (hex); it is the node's word until a proof shows it.
 */
export function isHers(entry: string, grant: Grant, draft: Draft): boolean {
  const bytes = fromHex(entry);
  const hash = tagged("cl1.key-id", ledgerKey(fromHex(grant.key)));
  const expected = joinBytes(u8(1), hash, u32(draft.untilDay), fromHex(grant.revocation_hash));
  return bytes.length === expected.length + 8 && expected.every((byte, index) => bytes[index] === byte);
}

/** The id of an enrolled key: 32 hex digits. */
export function keyId(key: Bytes): string {
  return toHex(asRaw(sha256(key))).slice(0, 32);
}

/** A passkey as a chart enrols it. `raw` is x | y, or an ML-DSA key. */
export function passkeyKey(raw: Bytes, rpId: string, origin: string): Bytes {
  return joinBytes(countedBytes(raw), asRaw(sha256(encoder.encode(rpId))), countedBytes(encoder.encode(origin)));
}

/** The challenge by which a passkey becomes this chart's key. */
export function enrolmentChallenge(prepared: Pick<Prepared, "organisation" | "handle">, key: Bytes): Bytes {
  const place = joinBytes(fromHex(prepared.organisation), fromHex(prepared.handle));
  return tagged("cl1.enrolment", place, encoder.encode(keyId(key)));
}

/** The challenge by which the enrolled key lets `key` follow it. */
export function continuationChallenge(key: Bytes): Bytes {
  return encoder.encode(keyId(key));
}

/** The printed kit: lets another key follow an enrolled one that is lost, and does nothing else. */
export interface Kit {
  /** For paper: 64 hex digits in groups of eight. */
  readonly code: string;
  /** Its public key, for the enrolment. */
  readonly recovery: Bytes;
}

/** A new kit; `random` is 32 random bytes. */
export function newKit(random: Bytes = crypto.getRandomValues(new Uint8Array(32))): Kit {
  const code = (toHex(random).match(/.{8}/g) ?? []).join("-");
  return { code, recovery: asRaw(kitKeys(random).publicKey) };
}

/** The secret of a kit as it was printed, and its public key. Throws RangeError for what is no code of a kit. */
export function readKit(code: string): { readonly secret: Bytes; readonly recovery: Bytes } {
  const digits = code.toLowerCase().replaceAll(/[\s-]/g, "");
  if (!/^[0-9a-f]{64}$/.test(digits)) throw new RangeError("a kit has 64 digits");
  const secret = fromHex(digits);
  return { secret, recovery: asRaw(kitKeys(secret).publicKey) };
}

/** The kit's word that `key` follows the enrolled one. Throws RangeError for what is no code of a kit. */
export function signWithKit(code: string, key: Bytes): Bytes {
  return asRaw(ml_dsa65.sign(continuationChallenge(key), kitKeys(readKit(code).secret).secretKey));
}

function kitKeys(seed: Bytes): { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array } {
  return ml_dsa65.keygen(hmac(sha256, seed, encoder.encode("cl1.enrolled")));
}

function ledgerKey(key: Bytes): Bytes {
  return joinBytes(u8(ML_DSA_65), countedBytes(key));
}

function transactionBody(envelope: Envelope, lane: number, message: Bytes): Bytes {
  return joinBytes(
    fromHex(envelope.genesis_hash),
    u64(envelope.valid_until),
    fromHex(envelope.sponsor),
    u8(lane),
    u64(envelope.sequence),
    u32(1),
    countedBytes(message),
  );
}

function sort(terms: Terms): Terms {
  return {
    effect: terms.effect,
    grantees: unique(terms.grantees, (one) => [one.kind, one.value]),
    actions: unique(terms.actions, (one) => [one]),
    purposes: unique(terms.purposes, (one) => [one]),
    types: unique(terms.types, (one) => [one]),
    categories: unique(terms.categories, (one) => [one.code, one.system]),
    labels: unique(terms.labels, (one) => [one.code, one.system]),
    from_day: terms.from_day,
    until_day: terms.until_day,
    supersedes: terms.supersedes,
  };
}

/** Ascending by these texts, by code points, and each once. */
function unique<T>(items: readonly T[], by: (item: T) => readonly string[]): readonly T[] {
  const ordered = [...items].sort((a, b) => compare(by(a), by(b)));
  return ordered.filter((item, index) => index === 0 || compare(by(item), by(ordered[index - 1] as T)) !== 0);
}

function compare(a: readonly string[], b: readonly string[]): number {
  for (const [index, text] of a.entries()) {
    const order = compareTexts(text, b[index] ?? "");
    if (order !== 0) return order;
  }
  return 0;
}

/** By code points: UTF-16 units are in another order above U+FFFF. */
function compareTexts(a: string, b: string): number {
  const left = Array.from(a, (sign) => sign.codePointAt(0) ?? 0);
  const right = Array.from(b, (sign) => sign.codePointAt(0) ?? 0);
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const order = (left[at] ?? 0) - (right[at] ?? 0);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** RFC 8785, for values of texts, whole numbers, lists and objects. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join(",")}}`;
}
