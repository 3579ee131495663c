import { continuationChallenge, enrolmentChallenge, fromHex, newKit, prfInputs, signWithKit, toHex, type Prepared } from "./directives.ts";
import type { Bytes } from "./encoding.ts";
import { ask, NoGesture } from "./gesture.ts";

/**
 * A passkey becomes the key that decides in its owner's chart (docs/spec/consent.md, In her own page). The node is asked with
 * the session of our pages, not with a token: only who is signed in here does this.
 */

/** One of her passkeys that can decide. */
export interface Deciding {
  readonly id: string;
  readonly label: string;
  /** It is the one that decides now. */
  readonly is_mine: boolean;
  /** For `careledger patient follow`, where a key file decides. */
  readonly key_id: string;
}

/** How it stands before anything is done: `POST /me/key/options` with {}. */
export interface KeyState {
  readonly is_enrolled: boolean;
  /** A key file decides: `careledger patient follow` gives its word. */
  readonly by_file: boolean;
  /** Empty if none of hers can derive keys (PRF). */
  readonly passkeys: readonly Deciding[];
}

interface Chosen {
  readonly prepared: Prepared;
  readonly key: string;
}

/** An ML-DSA-65 signature in hex. */
const WORD_OF_KEY_FILE = /^[0-9a-f]{6618}$/;

/** Posts JSON to our own pages, with the session's token in `x-csrf`; throws where the node refuses. */
export type Tell = (path: string, content: object) => Promise<unknown>;

export async function readKeyState(tell: Tell): Promise<KeyState> {
  return (await tell("/me/key/options", {})) as KeyState;
}

/**
 * The passkey of this id decides from now on. `show` gets the code of its printed kit, which nobody else has, before anything
 * is handed in: an answer that is lost on its way takes no kit along.
 * Where a key is enrolled, that one says yes by a gesture first, or `word` does: the code of its kit, if it is lost, or what
 * `careledger patient follow` printed, if it is a key file. Throws NoGesture, RangeError for what is neither, and what `tell`
 * throws.
 */
export async function enrolPasskey(tell: Tell, passkey: string, word: string, show: (code: string) => void): Promise<void> {
  const { prepared, key } = (await tell("/me/key/options", { passkey })) as Chosen;
  const encoded = fromHex(key);
  const continues = await follow(prepared, encoded, word);
  // PRF is evaluated on nothing in particular: a device that gives nothing now would give no directive its key.
  const proof = await ask(fromHex(passkey), enrolmentChallenge(prepared, encoded), prfInputs(new Uint8Array(32)));
  if (proof.secrets === undefined) throw new NoGesture();
  const printed = newKit();
  show(printed.code);
  await tell("/me/key/answer", {
    passkey,
    proof: toHex(proof.signature),
    continues: toHex(continues),
    recovery: toHex(printed.recovery),
  });
}

async function follow(prepared: Prepared, key: Bytes, word: string): Promise<Bytes> {
  if (prepared.key === "") return new Uint8Array();
  const digits = word.replaceAll(/\s/g, "");
  if (WORD_OF_KEY_FILE.test(digits)) return fromHex(digits);
  if (digits !== "" || prepared.credential === "") return signWithKit(digits, key);
  return (await ask(fromHex(prepared.credential), continuationChallenge(key))).signature;
}
