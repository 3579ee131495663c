import type { Language } from "../../lib/directive_words.ts";
import { compose, type Draft, fromHex, isHers, type Prepared, prfInputs, type Revocation, sign, signRevocation, type Terms, toHex } from "../../lib/directives.ts";
import { ask, NoGesture } from "../../lib/gesture.ts";
import type { Node } from "../../lib/node.ts";
import { Refusal } from "../../lib/refusal.ts";

/** The device's passkey gives no keys (no PRF), so it cannot decide here. */
export class NoKeys extends Error {}
/** Another passkey, or a key file, made this decision: only that one, or its printed code, withdraws it. */
export class NotItsKey extends Error {}

/** What was granted: for paper, and whether the ledger's entry is hers. */
export interface Granted {
  readonly id: string;
  readonly code: string;
  readonly isHers: boolean;
}

const RANDOM_BYTES = 32;
const MOVED = "sequence-moved";
const TRIES = 3;

/** What must be known before she decides; `named` are whom the decision will name. Throws Refusal, Unreachable. */
export async function prepare(node: Node, patient: string, named: Pick<Terms, "grantees"> | undefined): Promise<Prepared> {
  const query = new URLSearchParams();
  for (const one of named?.grantees ?? []) {
    if (one.value.startsWith("did:")) query.append("did", one.value);
    else if (one.kind === "practitioner") query.append("practitioner", one.value);
  }
  const asked = query.size === 0 ? "" : `?${query}`;
  return await node.api<Prepared>(`/charts/${encodeURIComponent(patient)}/consents/prepare${asked}`);
}

/** The lines that she reads: exactly these are signed. */
export function draft(terms: Terms, prepared: Prepared, language: Language): Draft {
  const random = (): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
  return compose(terms, prepared, language, random(), random());
}

/**
 * One gesture over these lines; the decision holds when this resolves. Waits a random time before it hands it in, if the
 * house wishes so, that the ledger may not show the hour. Throws NoGesture, NoKeys, Refusal, Unreachable.
 */
export async function grant(node: Node, patient: string, made: Draft, prepared: Prepared, onWait: (seconds: number) => void): Promise<Granted> {
  const { signature, secrets } = await ask(fromHex(prepared.credential), made.commitment, prfInputs(made.nonce));
  if (secrets === undefined) throw new NoKeys();
  const waitS = prepared.delay_s > 0 ? Math.random() * prepared.delay_s : 0;
  if (waitS > 0) {
    onWait(Math.ceil(waitS));
    await new Promise((resolve) => setTimeout(resolve, 1000 * waitS));
  }
  let envelope = prepared;
  for (let left = TRIES; ; left--) {
    const handed = sign(made, envelope, secrets, signature);
    try {
      const path = `/charts/${encodeURIComponent(patient)}/consents`;
      const done = await node.tell<{ readonly id: string; readonly entry: string | null }>(path, handed);
      return { id: done.id, code: toHex(secrets.code), isHers: done.entry !== null && isHers(done.entry, handed, made) };
    } catch (error) {
      if (left <= 1 || !(error instanceof Refusal) || error.code !== MOVED) throw error;
      envelope = { ...prepared, ...(await prepare(node, patient, undefined)), names: prepared.names };
    }
  }
}

interface Ending extends Pick<Prepared, "genesis_hash" | "sponsor" | "sequence" | "valid_until"> {
  readonly active: boolean;
  readonly nonce: string;
  readonly key: string;
}

/**
 * One gesture, and the decision holds no longer: no look that begins afterwards rests on it. What the passkey signs beside is
 * thrown away. Throws NoGesture, NoKeys, NotItsKey, Refusal, Unreachable.
 */
export async function withdraw(node: Node, patient: string, id: string, credential: string): Promise<void> {
  const path = `/charts/${encodeURIComponent(patient)}/consents/${id}`;
  const first = await node.api<Ending>(`${path}/prepare`);
  const challenge = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES));
  const { secrets } = await ask(fromHex(credential), challenge, prfInputs(fromHex(first.nonce)));
  if (secrets === undefined) throw new NoKeys();
  let envelope = first;
  for (let left = TRIES; ; left--) {
    const handed: Revocation = signRevocation(id, envelope, secrets.seed);
    if (handed.key !== envelope.key) throw new NotItsKey();
    try {
      await node.tell(`${path}/revoke`, handed);
      return;
    } catch (error) {
      if (left <= 1 || !(error instanceof Refusal) || error.code !== MOVED) throw error;
      envelope = await node.api<Ending>(`${path}/prepare`);
    }
  }
}

/** By the code that was printed when it was signed: no passkey is needed. Throws RangeError for what is no code. */
export async function withdrawByCode(node: Node, patient: string, id: string, text: string): Promise<void> {
  const code = text.replaceAll(/[\s-]/g, "").toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(code)) throw new RangeError("a code has 64 digits");
  await node.tell(`/charts/${encodeURIComponent(patient)}/consents/${id}/revoke`, { code });
}

/** Whether this browser says that its passkeys can give keys; undefined where it does not say. */
export async function canGiveKeys(): Promise<boolean | undefined> {
  if (typeof PublicKeyCredential !== "function") return false;
  const asking = PublicKeyCredential as { readonly getClientCapabilities?: () => Promise<Readonly<Record<string, boolean>>> };
  const said = await asking.getClientCapabilities?.().catch(() => undefined);
  return said?.["extension:prf"];
}

export { NoGesture };
