/**
 * A PDF (ISO 32000-1) of A4 pages with text and squares, of our own: the standard font Helvetica in WinAnsi, which has the
 * letters of Western languages. Others become "?"; the browser's own printing has them all. Pure.
 */

type Bytes = Uint8Array<ArrayBuffer>;

const [WIDTH, HEIGHT, MARGIN] = [595, 842, 56] as const;
/** Widths of Helvetica's characters 32 to 126, in thousandths of the size (Adobe's font metrics). */
const WIDTHS = [278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584] as const;
const WIDTH_OTHER = 600;
/** What WinAnsi has between 128 and 159, by Unicode. */
const SPECIAL: Readonly<Record<string, number>> = { "€": 128, "…": 133, "‘": 145, "’": 146, "“": 147, "”": 148, "•": 149, "–": 150, "—": 151, "™": 153 };

export interface Text {
  readonly text: string;
  readonly size: number;
  readonly isBold?: boolean;
  /** Empty room above, in points. */
  readonly above?: number;
}

/** Lines in order, broken where they are too long, over as many pages as they need; `squares` stand below the last. */
export function writePdf(texts: readonly Text[], squares: readonly (readonly boolean[])[], squaresSize: number): Bytes {
  const pages: string[][] = [[]];
  let y = HEIGHT - MARGIN;
  const need = (height: number): void => {
    if (y - height >= MARGIN) return;
    pages.push([]);
    y = HEIGHT - MARGIN;
  };
  for (const { text, size, isBold = false, above = 0 } of texts) {
    y -= above;
    for (const line of breakLine(text, size)) {
      need(1.35 * size);
      y -= 1.35 * size;
      pages.at(-1)?.push(`BT /${isBold ? "B" : "F"} ${size} Tf ${MARGIN} ${y.toFixed(1)} Td (${escape(line)}) Tj ET`);
    }
  }
  need(squaresSize + 12);
  y -= 12;
  pages.at(-1)?.push(drawSquares(squares, MARGIN, y, squaresSize));
  return assemble(pages.map((page) => page.join("\n")));
}

function drawSquares(squares: readonly (readonly boolean[])[], left: number, top: number, size: number): string {
  const side = size / Math.max(squares.length, 1);
  const at = (value: number): string => value.toFixed(3);
  return squares
    .flatMap((row, y) => row.map((isDark, x) => (isDark ? `${at(left + x * side)} ${at(top - (y + 1) * side)} ${at(side + 0.02)} ${at(side + 0.02)} re` : "")))
    .filter((part) => part !== "")
    .concat("f")
    .join("\n");
}

/** By words, and a word that is longer than a line by letters. */
function breakLine(text: string, size: number): readonly string[] {
  const room = WIDTH - 2 * MARGIN;
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((one) => cutWord(one, size, room))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (widthOf(longer, size) <= room) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

function cutWord(word: string, size: number, room: number): readonly string[] {
  const parts: string[] = [];
  let part = "";
  for (const sign of word) {
    if (part !== "" && widthOf(part + sign, size) > room) {
      parts.push(part);
      part = "";
    }
    part += sign;
  }
  return [...parts, part];
}

function widthOf(text: string, size: number): number {
  let width = 0;
  for (const sign of text) width += WIDTHS[(sign.codePointAt(0) ?? 0) - 32] ?? WIDTH_OTHER;
  return (1.08 * width * size) / 1000; // bold is a little wider
}

/** A PDF string of WinAnsi; what it has no letter for is "?". */
function escape(text: string): string {
  let escaped = "";
  for (const sign of text.normalize("NFC")) {
    const code = sign.codePointAt(0) ?? 0;
    const byte = SPECIAL[sign] ?? ((code >= 32 && code < 127) || (code >= 160 && code < 256) ? code : 63);
    if (byte === 40 || byte === 41 || byte === 92) escaped += `\\${sign}`;
    else escaped += byte < 127 ? String.fromCharCode(byte) : `\\${byte.toString(8)}`;
  }
  return escaped;
}

/** The file: catalog, pages, two fonts, and of each page itself and its content. */
function assemble(contents: readonly string[]): Bytes {
  const kids = contents.map((_, index) => `${5 + 2 * index} 0 R`).join(" ");
  const font = (name: string): string => `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${kids}] /Count ${contents.length} >>`,
    font("Helvetica"),
    font("Helvetica-Bold"),
    ...contents.flatMap((content, index) => [
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${WIDTH} ${HEIGHT}] /Resources << /Font << /F 3 0 R /B 4 0 R >> >> /Contents ${6 + 2 * index} 0 R >>`,
      `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    ]),
  ];
  let file = "%PDF-1.4\n";
  const places = objects.map((object, index) => {
    const place = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return place;
  });
  const start = file.length;
  const rows = places.map((place) => `${String(place).padStart(10, "0")} 00000 n \n`).join("");
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  return new TextEncoder().encode(file);
}
