import { i18n, type Messages } from "@lingui/core";

/** The languages of the application. `dir` is the direction of their script. */
export const LOCALES = {
  en: { name: "English", dir: "ltr" },
  es: { name: "Español", dir: "ltr" },
} as const;
export type Locale = keyof typeof LOCALES;

/** How a part of the application brings its words: one file a language, loaded when the part is. */
export type Catalog = Readonly<Record<Locale, () => Promise<{ readonly messages: Messages }>>>;

const catalogs = new Set<Catalog>();
let current: Locale = "en";

/** The language as now chosen. */
export function locale(): Locale {
  return current;
}

/** The part's words are there when this resolves, in the present language and in any chosen later. */
export async function addCatalog(catalog: Catalog): Promise<void> {
  if (catalogs.has(catalog)) return;
  const { messages } = await catalog[current]();
  catalogs.add(catalog);
  i18n.load(current, messages);
  i18n.activate(current);
}

/** Another language from now on, everywhere. */
export async function speak(chosen: Locale): Promise<void> {
  const loaded = await Promise.all([...catalogs].map((catalog) => catalog[chosen]()));
  for (const { messages } of loaded) i18n.load(chosen, messages);
  current = chosen;
  i18n.activate(chosen);
  document.documentElement.lang = chosen;
  document.documentElement.dir = LOCALES[chosen].dir;
}

/** The first of our languages that the browser asks for. */
export function findLocale(wanted: readonly string[]): Locale {
  for (const tag of wanted) {
    const language = tag.slice(0, 2).toLowerCase();
    if (language in LOCALES) return language as Locale;
  }
  return "en";
}
