/** Enrolled keys, and the directives that they bind (docs/spec/export.md, steps 9 and 10). */

import { type Bytes, hex, isSame, utf8 } from "./bytes.ts";
import { type ChartFile, CONTROLLER, DIRECTIVE, type DirectiveText, TEXT } from "./export_forms.ts";
import { parse } from "./forms.ts";
import { enc, sha256, tagged } from "./hashing.ts";
import { need } from "./refused.ts";
import { checkSignature } from "./signatures.ts";

/** The id of an enrolled key. */
export function keyId(publicKey: Bytes): string {
  return hex(sha256(publicKey)).slice(0, 32);
}

/** The key that an enrolment names: the first continues none, each later one is signed by the one before. */
export async function readController(
  before: Bytes | null,
  id: string,
  body: Bytes,
  where: string,
): Promise<Bytes> {
  const leaf = parse(body, CONTROLLER, where);
  need(id === keyId(leaf.key), "controller-id", where);
  if (before === null) need(leaf.continues.length === 0, "controller-first", where);
  else await checkSignature(before, leaf.continues, utf8(id));
  return leaf.key;
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
  const digest = tagged("cl1.consent", leaf.salt, leaf.text);
  const isKnown = hex(digest) === id && enrolled !== null && leaf.controller === keyId(enrolled);
  need(isKnown, "directive-key");
  const isOfChart = isSame(text.organisation, file.org) && isSame(text.handle, file.handle);
  need(isOfChart, "directive-chart");
  await checkSignature(enrolled, leaf.binding, digest);
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
