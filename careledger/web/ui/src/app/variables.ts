import { convertCssVariables, DEFAULT_THEME, defaultCssVariablesResolver, mergeMantineTheme } from "@mantine/core";
import { theme } from "./theme.ts";

/** The theme as CSS variables, written at build time: our policy forbids a style sheet that a script makes. */
export function writeVariables(): string {
  const variables = defaultCssVariablesResolver(mergeMantineTheme(DEFAULT_THEME, theme));
  const schemes = { dark: { "--mantine-color-scheme": "dark" }, light: { "--mantine-color-scheme": "light" } };
  return convertCssVariables(variables, ":root") + convertCssVariables({ variables: {}, ...schemes }, ":root");
}
