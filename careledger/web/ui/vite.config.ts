import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { brotliCompressSync, constants } from "node:zlib";
import { lingui } from "@lingui/vite-plugin";
import react from "@vitejs/plugin-react";
import { build } from "esbuild";
import { defineConfig } from "vitest/config";
import type { HtmlTagDescriptor, Plugin } from "vite";
import { writeVariables } from "./src/app/variables.ts";

const OUT = "out/app";

/** What nearly every page needs comes in two files instead of a dozen: on a phone each request costs more than its kilobyte. */
const QUERIES = { name: "queries", test: /node_modules\/@tanstack\/(react-query|query-core)\// };
const COMMON = { name: "common", test: /src\/(lib\/(?!proof\/|directive|gesture|shown|enrolling|encoding)|components\/)[\w./-]+\.tsx?$/, minShareCount: 3 };
const VARIABLES = "virtual:theme.css";

/** The theme's variables as a style sheet of our own: the policy allows no style that a script writes. */
function themeVariables(): Plugin {
  return {
    name: "theme-variables",
    resolveId: (id) => (id === VARIABLES ? `\0${VARIABLES}` : null),
    load: (id) => (id === `\0${VARIABLES}` ? writeVariables() : null),
  };
}

/**
 * The page names the application's files beside those of the small file that fetches them, so that nothing waits for that one
 * to run (src/app/main.tsx).
 */
function nameStart(): Plugin {
  return {
    name: "name-start",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle = {} }): HtmlTagDescriptor[] {
        const chunks = Object.values(bundle).filter((one) => one.type === "chunk");
        const wanted = new Set(chunks.filter((one) => one.name === "start").map((one) => one.fileName));
        for (const name of wanted) for (const below of chunks.find((one) => one.fileName === name)?.imports ?? []) wanted.add(below);
        return [...wanted]
          .filter((name) => !html.includes(name))
          .map((name) => ({ tag: "link", attrs: { rel: "modulepreload", crossorigin: true, href: `/${name}` }, injectTo: "head" }));
      },
    },
  };
}

/**
 * Afterwards: the service worker, which knows the names of this build's files, and each file once more, packed by brotli.
 * From the written files, because names and contents are final only there.
 */
function finish(): Plugin {
  return {
    name: "finish",
    apply: "build",
    async closeBundle() {
      const assets = (await readdir(`${OUT}/assets`)).sort();
      await writeFile(`${OUT}/sw.js`, await bundleWorker(assets.map((name) => `/assets/${name}`)));
      for (const name of ["index.html", "sw.js", "manifest.webmanifest", ...assets.map((asset) => `assets/${asset}`)]) {
        const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
        await writeFile(`${OUT}/${name}.br`, brotliCompressSync(await readFile(`${OUT}/${name}`), options));
      }
    },
  };
}

async function bundleWorker(files: readonly string[]): Promise<string> {
  const version = createHash("sha256").update(files.join("\n")).digest("hex").slice(0, 16);
  const define = { BUILD: JSON.stringify({ version, files }) };
  const built = await build({ entryPoints: ["src/sw.ts"], bundle: true, minify: true, write: false, target: "es2022", define });
  return built.outputFiles[0]?.text ?? "";
}

export default defineConfig({
  plugins: [themeVariables(), react(), lingui({ macroTransform: true }), nameStart(), finish()],
  build: {
    target: "es2024",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    outDir: OUT,
    rolldownOptions: { output: { advancedChunks: { groups: [QUERIES, COMMON] } } },
  },
  worker: { format: "es" },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.tsx"],
  },
});
