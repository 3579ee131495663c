import { createTheme } from "@mantine/core";

/** Shade 8 keeps buttons and links above 4.5 : 1 in both schemes; Mantine's default blue does not. */
export const theme = createTheme({
  primaryColor: "blue",
  primaryShade: { light: 8, dark: 8 },
  autoContrast: true,
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, 'SF Mono', Menlo, Consolas, monospace",
  headings: { fontFamily: "inherit", fontWeight: "650" },
  respectReducedMotion: true,
});
