const SIGNS_MOST = 10_000;
const ENDLESS = /\S{500}/g;
/** Signs that turn the letters after them around, whatever their language: "evil" would read "live", and 51 mg 15 mg. No language needs them. */
const OVERRIDES = /[\u202d\u202e]/g;

/**
 * As much of a text as a page can lay out, with places to break its lines. A browser takes the square of a word's length for
 * that: 0.6 s for 10,000 signs, minutes for the megabyte that one entry may hold. The whole stands in the record and in
 * what is downloaded. What would turn letters around is left out: nobody shall read what is not written.
 */
export function clip(text: string): string {
  const straight = text.replaceAll(OVERRIDES, "");
  if (straight.length <= 500) return straight;
  const shown = straight.length <= SIGNS_MOST ? straight : `${straight.slice(0, SIGNS_MOST)}…`;
  return shown.replaceAll(ENDLESS, "$&\u200b");
}
