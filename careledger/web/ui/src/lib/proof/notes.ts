/** Checkpoints as C2SP writes them: signed-note, tlog-checkpoint, tlog-cosignature. */

import { type Bytes, concat, hex, readBase64, readBig, u64, utf8 } from "./bytes.ts";
import { bytes, list, object, oneOf, type Of, text } from "./forms.ts";
import { sha256, short } from "./hashing.ts";
import { need } from "./refused.ts";
import { checkSignature } from "./signatures.ts";

const NOTE_MAX = 65_536;
const NOTE = /^([^\n]*)\n([1-9][0-9]{0,15})\n([^\n]*)\n\n((?:— [^ \n]+ [^ \n]+\n)+)$/;
/** What a signature is of: 1 the text; 4 a time with it (a witness's); 6 (ML-DSA) a time with size and root. */
type NoteType = 1 | 4 | 6;

/** Keys of an operator, or of witnesses, as trust files write them. */
export const KEYS = list(
  object({ alg: oneOf("ed25519", "ml-dsa-44"), name: text(/^[!-*,-~]{1,255}$/), public: bytes(32, 1312) }),
  1,
  32,
);

/** A key that may sign notes. */
export interface NoteKey {
  readonly name: string;
  readonly type: NoteType;
  readonly publicKey: Bytes;
}
/** By name and key id, as a signature line names them. */
export type KeyTable = ReadonlyMap<string, NoteKey>;

/** What a note says, and which keys of the table have signed it. */
export interface Checkpoint {
  readonly size: number;
  readonly root: Bytes;
  readonly signers: ReadonlySet<string>;
}

/** The keys under the names that signature lines give them. */
export function makeKeyTable(keys: Of<typeof KEYS>, isWitness = false): KeyTable {
  const table = new Map<string, NoteKey>();
  for (const key of keys) {
    const type: NoteType = key.alg === "ml-dsa-44" ? 6 : isWitness ? 4 : 1;
    need(key.public.length === (type === 6 ? 1312 : 32), "key-size");
    const id = sha256(utf8(`${key.name}\n`), Uint8Array.of(type), key.public).subarray(0, 4);
    table.set(`${key.name} ${hex(id)}`, { name: key.name, type, publicKey: key.public });
  }
  return table;
}

/** Size and root of a checkpoint of `chain`, and who signed; every signature is by a known key, once, and holds. */
export async function checkNote(note: string, chain: string, keys: KeyTable): Promise<Checkpoint> {
  need(utf8(note).length <= NOTE_MAX, "note-long");
  const [, origin, digits, digest, lines] = NOTE.exec(note) ?? [];
  const isWhole = origin !== undefined && digits !== undefined && digest !== undefined && lines !== undefined;
  need(isWhole, "note-form");
  need(origin === `careledger/${chain}`, "note-chain");
  const size = Number(digits);
  const root = readBase64(digest);
  need(root !== null, "note-base64", "the note's root");
  need(Number.isSafeInteger(size) && root.length === 32, "note-root");
  const said = { body: `${origin}\n${digits}\n${digest}\n`, origin, size, root };
  const signers = new Set<string>();
  for (const line of lines.split("\n").slice(0, -1)) {
    const [, name = "", blob = ""] = line.split(" ");
    const raw = readBase64(blob);
    need(raw !== null, "note-base64", "a signature");
    const signer = `${name} ${hex(raw.subarray(0, 4))}`;
    const key = keys.get(signer);
    need(key !== undefined && !signers.has(signer), "note-signer");
    signers.add(signer);
    await checkLine(key, raw.subarray(4), said);
  }
  return { size, root, signers };
}

interface Said {
  readonly body: string;
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
}

/** One signature, behind its time if it is of a type that has one. */
async function checkLine(key: NoteKey, signed: Bytes, said: Said): Promise<void> {
  if (key.type === 1) return checkSignature(key.publicKey, signed, utf8(said.body));
  const stamp = signed.subarray(0, 8);
  const time = readBig(stamp);
  need(time < 2n ** 63n, "note-time");
  const message =
    key.type === 4
      ? utf8(`cosignature/v1\ntime ${time}\n${said.body}`)
      : concat(
          utf8("subtree/v1\n\0"),
          short(key.name),
          stamp,
          short(said.origin),
          u64(0),
          u64(said.size),
          said.root,
        );
  return checkSignature(key.publicKey, signed.subarray(8), message);
}
