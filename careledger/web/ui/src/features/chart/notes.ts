import type { Attachment, DocumentReference } from "fhir/r4";
import type { Node } from "../../lib/node.ts";

const LENGTH_MAX = 200_000;

/** The text of an attachment that is plain text; undefined for every other format, and for what is not here. */
export function decodeText(attachment: Attachment): string | undefined {
  const type = (attachment.contentType ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "text/plain" || attachment.data === undefined) return undefined;
  try {
    const bytes = Uint8Array.from(atob(attachment.data), (letter) => letter.charCodeAt(0));
    return new TextDecoder().decode(bytes).slice(0, LENGTH_MAX).trim();
  } catch {
    return undefined;
  }
}

const WORDS_LENGTH = 110;
/** Lines that every note has alike: headings of Markdown and of forms, dates alone, rules. */
const ALIKE = /^\s*(?:#{1,6}\s.*|[\p{L} ]{1,40}:|[\d.\-/: T]*|[-=_*\s]+)\s*$/u;

/** What tells a note from its neighbours: the first words that are neither heading nor date; "" if there are none. */
export function firstWords(text: string): string {
  const lines = text.slice(0, 4_000).split(/\r?\n/).filter((line) => !ALIKE.test(line)).map((line) => line.replace(/^\s*[-*]\s+/, "").trim());
  const words = lines.join(" · ");
  if (words.length <= WORDS_LENGTH) return words;
  const cut = words.slice(0, WORDS_LENGTH + 1);
  return `${cut.slice(0, cut.lastIndexOf(" ") > 60 ? cut.lastIndexOf(" ") : WORDS_LENGTH).trim()}…`;
}

const PLAIN = ["text/plain", "text/plain;charset=utf-8", "text/plain; charset=utf-8", "text/plain;charset=UTF-8", "text/plain; charset=UTF-8"].join(",");

/** The first words of those notes by their ids. Only plain text is asked for: a scan would come whole for nothing. */
export async function readFirstWords(node: Node, patient: string, ids: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const page = await node.search<DocumentReference>("DocumentReference", [["patient", patient], ["_id", ids.join(",")], ["contenttype", PLAIN], ["_count", String(ids.length)], ["_elements", "content"]], signal);
  return new Map(page.resources.map((one) => [one.id ?? "", one.content.map(({ attachment }) => firstWords(decodeText(attachment) ?? "")).find((words) => words !== "") ?? ""]));
}
