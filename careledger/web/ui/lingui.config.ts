import { defineConfig } from "@lingui/cli";

/** Each feature has its own catalogs, loaded with it; the app's shell has its own. English is the source. */
export default defineConfig({
  sourceLocale: "en",
  locales: ["en", "es"],
  catalogs: [
    { path: "src/features/{name}/locales/{locale}", include: ["src/features/{name}"] },
    { path: "src/app/locales/{locale}", include: ["src/app", "src/components", "src/lib"] },
  ],
});
