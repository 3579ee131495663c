import { continuationChallenge, enrolmentChallenge, fromHex, newKit, readKit, signWithKit, toHex, type Prepared } from "./directives.ts";
import { encodeWraps, KIT, PASSKEY, prfInput, wrapKey } from "./copies.ts";
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
  /** What her sealed copies open with; empty until she has wrapped their key. */
  readonly copies: readonly string[];
}

/** Her secrets for the wraps of her sealed copies: they stay in this page. */
export interface Wrapping {
  readonly kit: Bytes;
  /** PRF of her passkey for `salt`. */
  readonly prf: Bytes;
  readonly salt: Bytes;
}

/** The key of her sealed copies, as the node gives it to her own page. Bytes are hex. */
interface CopyKey {
  readonly key: string;
  readonly epoch: number;
  readonly key_id: string;
  readonly credential: string;
  /** Public key of the kit that was printed for this passkey. */
  readonly recovery: string;
}

/** The code is of another kit, or of none. */
export class OtherKit extends Error {}

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
 * throws. Gives what `keepWraps` needs: the same gesture serves both.
 */
export async function enrolPasskey(tell: Tell, passkey: string, word: string, show: (code: string) => void): Promise<Wrapping> {
  const { prepared, key } = (await tell("/me/key/options", { passkey })) as Chosen;
  const encoded = fromHex(key);
  const continues = await follow(prepared, encoded, word);
  // A device that gives nothing now would give no directive its key.
  const salt = random();
  const proof = await ask(fromHex(passkey), enrolmentChallenge(prepared, encoded), [prfInput(salt), prfInput(salt)]);
  if (proof.secrets === undefined) throw new NoGesture();
  const printed = newKit();
  show(printed.code);
  await tell("/me/key/answer", {
    passkey,
    proof: toHex(proof.signature),
    continues: toHex(continues),
    recovery: toHex(printed.recovery),
  });
  return { kit: readKit(printed.code).secret, prf: proof.secrets.seed, salt };
}

/** Her sealed copies open with her passkey and her kit from now on (docs/spec/copy.md). Throws OtherKit, and what `tell` throws. */
export async function keepWraps(tell: Tell, wrapping: Wrapping): Promise<void> {
  await handIn(tell, (await tell("/me/copies/options", {})) as CopyKey, wrapping);
}

/**
 * As `keepWraps`, for who enrolled before, or after something was erased: `code` is that of her kit, which is compared with
 * what the chart has of it, and her passkey gives the rest by a gesture. Throws NoGesture, OtherKit, and what `tell` throws.
 */
export async function prepareCopies(tell: Tell, code: string): Promise<void> {
  const kit = readCode(code);
  const given = (await tell("/me/copies/options", {})) as CopyKey;
  if (toHex(kit.recovery) !== given.recovery) throw new OtherKit();
  const salt = random();
  const { secrets } = await ask(fromHex(given.credential), random(), [prfInput(salt), prfInput(salt)]);
  if (secrets === undefined) throw new NoGesture();
  await handIn(tell, given, { kit: kit.secret, prf: secrets.seed, salt });
}

async function handIn(tell: Tell, given: CopyKey, { kit, prf, salt }: Wrapping): Promise<void> {
  const key = fromHex(given.key);
  const wraps = [await wrapKey(key, PASSKEY, prf, salt, fromHex(given.credential)), await wrapKey(key, KIT, kit, random())];
  await tell("/me/copies/answer", { epoch: given.epoch, key_id: given.key_id, wraps: toHex(encodeWraps(wraps)) });
}

function readCode(code: string): ReturnType<typeof readKit> {
  try {
    return readKit(code);
  } catch {
    throw new OtherKit();
  }
}

function random(): Bytes {
  return crypto.getRandomValues(new Uint8Array(32));
}

async function follow(prepared: Prepared, key: Bytes, word: string): Promise<Bytes> {
  if (prepared.key === "") return new Uint8Array();
  const digits = word.replaceAll(/\s/g, "");
  if (WORD_OF_KEY_FILE.test(digits)) return fromHex(digits);
  if (digits !== "" || prepared.credential === "") return signWithKit(digits, key);
  return (await ask(fromHex(prepared.credential), continuationChallenge(key))).signature;
}
