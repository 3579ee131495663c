/** Bundles the verifier's worker, and prints how large it is, packed. */

import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";

const tools = createRequire(`${process.cwd()}/package.json`);

function run(tool: string, ...words: readonly string[]): void {
  const done = spawnSync(process.execPath, [tools.resolve(tool), ...words], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stdout + done.stderr);
}

function pack(entry: string, ...words: readonly string[]): number {
  run(
    "esbuild/bin/esbuild",
    entry,
    "--bundle",
    "--minify",
    "--format=esm",
    "--target=es2024",
    "--outfile=out.js",
    ...words,
  );
  return brotliCompressSync(readFileSync("out.js")).length;
}

writeFileSync("portable.ts", 'export { ml_dsa44, ml_dsa65 } from "@noble/post-quantum/ml-dsa.js";');
const worker = pack("lib/proof/worker.ts", "--external:@noble/post-quantum/*");
console.log(JSON.stringify({ worker, portable: pack("portable.ts") }));
