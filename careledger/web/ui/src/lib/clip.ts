const SIGNS_MOST = 10_000;
const ENDLESS = /\S{500}/g;

/**
 * As much of a text as a page can lay out, with places to break its lines. A browser takes the square of a word's length for
 * that: 0.6 s for 10,000 signs, minutes for the megabyte that one entry may hold. The whole stands in the record and in
 * what is downloaded.
 */
export function clip(text: string): string {
  if (text.length <= 500) return text;
  const shown = text.length <= SIGNS_MOST ? text : `${text.slice(0, SIGNS_MOST)}…`;
  return shown.replaceAll(ENDLESS, "$&\u200b");
}
