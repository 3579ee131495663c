import type { Attachment } from "fhir/r4";

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
