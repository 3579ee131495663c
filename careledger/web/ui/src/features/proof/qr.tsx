import { encode } from "uqr";
import type { ReactElement } from "react";

/** The dark squares of a QR code, row by row, with its margin. */
export function squaresOf(text: string): readonly (readonly boolean[])[] {
  return encode(text, { ecc: "M", border: 4 }).data;
}

/** A QR code as a drawing; `label` says to those who do not see it what it holds. */
export function Qr({ text, label }: { readonly text: string; readonly label: string }): ReactElement {
  const rows = squaresOf(text);
  const path = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return (
    <svg className="qr" viewBox={`0 0 ${rows.length} ${rows.length}`} role="img" aria-label={label} shapeRendering="crispEdges">
      <rect width="100%" height="100%" fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
