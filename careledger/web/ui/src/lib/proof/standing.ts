/** What the ledger's state says of each directive of a chart (docs/spec/export.md, step 10 and Former). */

import { type Bytes, concat, isSame, u32, unhex } from "./bytes.ts";
import { type Chart, type Mandate } from "./charts.ts";
import { addHeights, type ChartFile, type Kept, type Said } from "./export_forms.ts";
import { enc, tagged } from "./hashing.ts";
import { need } from "./refused.ts";
import { mapRoot } from "./trees.ts";

/** How a place of the state is shown: by its path, and by the one other leaf there if it is empty. */
interface Shown {
  readonly path: Bytes;
  readonly other?: Bytes;
}
type Place = readonly [contract: string, map: string, key: Bytes];

/** Each directive gets the force that the state gives it; the file shows the standing of every one. */
export function checkStanding(file: ChartFile, chart: Chart, state: Bytes): void {
  need(file.directives.length === chart.mandates.size, "standing-missing");
  const before = file.former?.size ?? 0;
  for (const [number, [id, mandate]] of [...chart.mandates].entries()) {
    const part = file.directives[number];
    need(part !== undefined, "standing-missing");
    const { said, kept } = part;
    const digest = unhex(id);
    const value = said === undefined ? null : takeSaid(mandate, said, before);
    const key = checkPlace(["consent", "directive", digest], value, part, state);
    need((kept !== undefined) === (file.former !== undefined && said === undefined), "standing-kept");
    if (kept !== undefined) follow(mandate, kept, [concat(file.org, key), digest], before, state);
  }
}

/** The bytes of what the ledger says, which counts if it is of the directive that was bound. */
function takeSaid(mandate: Mandate, said: Said, before: number): Bytes {
  if (isSame(said.key, mandate.keyHash) && said.until === mandate.text.until_day) {
    mandate.status = said.status === 1 ? 1 : 2;
    mandate.height = addHeights(before, said.height);
  }
  return concat(Uint8Array.of(said.status), said.key, u32(said.until), said.revocation, enc(said.height));
}

/** Former: what the embedded ledger said of a directive, until it was withdrawn on the network. */
function follow(
  mandate: Mandate,
  kept: Kept,
  [followed, id]: readonly [Bytes, Bytes],
  before: number,
  state: Bytes,
): void {
  const { said } = kept;
  const value = said === undefined ? null : enc(takeSaid(mandate, said, 0));
  checkPlace(["ledger", "followed", followed], value, kept, state);
  const ends = said?.status === 1 ? [said.key, said.revocation] : [];
  need(ends.length === kept.withdrawn.length, "standing-withdrawn");
  const heights: number[] = [];
  for (const [at, part] of kept.withdrawn.entries()) {
    const key = tagged("cl1.withdrawn", id, ends[at] ?? id);
    const end = part.height === undefined ? null : enc(part.height);
    checkPlace(["consent", "withdrawn", key], end, part, state);
    if (part.height !== undefined) heights.push(part.height);
  }
  if (heights.length > 0 && mandate.status > 0) {
    mandate.status = 2;
    mandate.height = addHeights(before, Math.min(...heights));
  }
}

/** The key of a place in the state, which holds this value there, or nothing. */
function checkPlace(place: Place, value: Bytes | null, part: Shown, state: Bytes): Bytes {
  const key = tagged("cl1.key", enc(...place));
  const stands =
    (value === null || part.other === undefined) && isSame(mapRoot(key, value, part.path, part.other), state);
  need(stands, "standing-place");
  return key;
}
