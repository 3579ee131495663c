/** Enrolled keys, and the directives that they bind (docs/spec/export.md, steps 9 and 10). */

import { type Bytes, hex, isSame, utf8 } from "./bytes.ts";
import { type ChartFile, CONTROLLER, DIRECTIVE, type DirectiveText, TEXT } from "./export_forms.ts";
import { parse } from "./forms.ts";
import { enc, sha256, tagged } from "./hashing.ts";
import { checkEnrolled, KEY_FILE_SIZE, readPasskey } from "./passkeys.ts";
import { need, Refused } from "./refused.ts";

/** The id of an enrolled key. */
export function keyId(publicKey: Bytes): string {
  return hex(sha256(publicKey)).slice(0, 32);
}

/** An enrolled key, and the key file that may be enrolled after it if it is lost. */
export interface Enrolled {
  readonly key: Bytes;
  readonly recovery: Bytes | null;
}

/**
 * The key that an entry enrols in its chart, after the `former` one, which signed it (or that one's recovery key). A
 * passkey has signed that it is this chart's; a key file need not, since it signs nothing that names no chart.
 */
export async function readController(
  former: Enrolled | null,
  file: ChartFile,
  id: string,
  body: Bytes,
  where: string,
): Promise<Enrolled> {
  const leaf = parse(body, CONTROLLER, where);
  const { key, continues, credential, proof, recovery = null } = leaf;
  const isPasskey = leaf.format === "careledger/controller/2";
  need(id === keyId(key), "controller-id", where);
  need(isPasskey === (key.length !== KEY_FILE_SIZE), "controller-form", where);
  if (isPasskey) {
    need(credential !== undefined && proof !== undefined, "controller-half", where);
    readPasskey(key);
    await checkEnrolled(key, proof, tagged("cl1.enrolment", file.org, file.handle, utf8(id)));
  } else {
    need(credential === undefined && proof === undefined, "controller-half", where);
    need(recovery === null, "controller-recovery", where);
  }
  if (former === null) need(continues.length === 0, "controller-first", where);
  else need(await isContinued(former, continues, utf8(id)), "controller-signed", where);
  return { key, recovery };
}

/** Whether the former key signed, or its recovery key. */
async function isContinued(former: Enrolled, signature: Bytes, id: Bytes): Promise<boolean> {
  for (const key of former.recovery === null ? [former.key] : [former.key, former.recovery]) {
    const isSigned = await checkEnrolled(key, signature, id).then(
      () => true,
      (error: unknown) => {
        if (error instanceof Refused) return false;
        throw error;
      },
    );
    if (isSigned) return true;
  }
  return false;
}

/** Text, and hash of its own key, of a directive that the enrolled key has bound to this chart. */
export async function readDirective(
  file: ChartFile,
  id: string,
  enrolled: Bytes | null,
  body: Bytes,
): Promise<{ readonly text: DirectiveText; readonly keyHash: Bytes }> {
  const leaf = parse(body, DIRECTIVE, "a directive");
  const text = parse(leaf.text, TEXT, "a directive's text");
  for (const name of ["actions", "categories", "grantees", "labels", "purposes", "types"] as const) {
    need(isAscending(text[name]), "directive-sorted");
  }
  const isNew = text.format === "careledger/directive/2";
  const isShown = (text.language !== undefined) === isNew && (text.shown !== undefined) === isNew;
  need(isShown, "directive-fields");
  const digest = tagged("cl1.consent", leaf.salt, leaf.text);
  const isKnown = hex(digest) === id && enrolled !== null && leaf.controller === keyId(enrolled);
  need(isKnown, "directive-key");
  const isOfChart = isSame(text.organisation, file.org) && isSame(text.handle, file.handle);
  need(isOfChart, "directive-chart");
  await checkEnrolled(enrolled, leaf.binding, digest);
  return { text, keyHash: tagged("cl1.key-id", Uint8Array.of(2), enc(leaf.key)) };
}

/** Each item is greater than the one before: texts, or objects of texts, field by field. */
function isAscending(items: readonly (string | Readonly<Record<string, string>>)[]): boolean {
  const rows = items.map((item) => (typeof item === "string" ? [item] : Object.values(item)));
  return rows.every((row, at) => at === 0 || compareRows(rows[at - 1] ?? [], row) < 0);
}

function compareRows(one: readonly string[], other: readonly string[]): number {
  for (const [at, text] of one.entries()) {
    const order = compareTexts(text, other[at] ?? "");
    if (order !== 0) return order;
  }
  return 0;
}

/** By code points, which is the order of UTF-8; JavaScript's own is by halves of characters. */
function compareTexts(one: string, other: string): number {
  const [left, right] = [utf8(one), utf8(other)];
  const at = left.findIndex((byte, place) => byte !== right[place]);
  return at < 0 ? left.length - right.length : (left[at] ?? 0) - (right[at] ?? -1);
}
