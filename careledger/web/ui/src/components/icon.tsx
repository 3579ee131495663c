import type { ReactElement } from "react";

/** Our own drawings: strokes on a field of 24 by 24. */
const STROKES: Readonly<Record<string, string>> = {
  record: "M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h7",
  heart: "M12 20S4 15 4 9a4 4 0 0 1 8-1 4 4 0 0 1 8 1c0 6-8 11-8 11z",
  flask: "M9 3h6M10 3v6L5 19a1 1 0 0 0 1 2h12a1 1 0 0 0 1-2l-5-10V3M8 15h8",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  key: "M8 15a4 4 0 1 1 3-6l10 0v4h-3v3h-4v-3h-3a4 4 0 0 1-3 2z",
  pencil: "M4 20l1-5L16 4l4 4L9 19zM14 6l4 4",
  download: "M12 3v12M7 11l5 5 5-5M4 20h16",
  people: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-7 7-7s7 3 7 7M16 4a4 4 0 0 1 0 7M18 14c3 1 4 4 4 7",
  desk: "M3 9h18M5 9v11M19 9v11M12 9v6h7M7 5h10v4H7z",
  shield: "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM8 12l3 3 5-6",
  network: "M12 8a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM5 21a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM19 21a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM11 8L6 16M13 8l5 8M7.500 18.500h9",
  ledger: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  help: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 17v.010",
  more: "M5 12h.010M12 12h.010M19 12h.010",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M19 5l-1 1M6 18l-1 1",
  out: "M14 4H5v16h9M10 12h11M17 8l4 4-4 4",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 4-7 8-7s8 3 8 7",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5",
  check: "M4 12l6 6L20 6",
  cross: "M6 6l12 12M18 6L6 18",
  warning: "M12 3l10 18H2zM12 10v5M12 18v.010",
  pill: "M8 21a5 5 0 0 1-4-8l7-7a5 5 0 1 1 7 7l-7 7a5 5 0 0 1-3 1zM8 9l7 7",
  syringe: "M4 20l4-4M6 14l8-8 4 4-8 8zM13 3l8 8M16 8l3-3",
  house: "M3 12l9-8 9 8M6 10v10h12V10",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 3",
};

/** A drawing beside words, which say what it means: it is hidden from screen readers. */
export function Icon({ name, size = 20 }: { readonly name: string; readonly size?: number }): ReactElement {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      <path d={STROKES[name] ?? ""} />
    </svg>
  );
}
