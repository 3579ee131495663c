/** The text in the square code of a sheet: seals, and the checkpoint that they were verified under. Pure. */

export const ENTRIES_MAX = 12;

export interface Checkpoint {
  readonly chain: string;
  readonly size: number;
  readonly root: string;
}

/** The text of the QR. What stands after "#" no server ever sees. */
export function writeCode(seals: readonly string[], ground: Checkpoint, origin: string): string {
  const root = ground.root.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${origin}/app/proof#v1.${ground.chain}.${ground.size}.${root}.${seals.join(".")}`;
}

/** What a scanned QR says; undefined for anything else. */
export interface Scanned extends Checkpoint {
  readonly seals: readonly string[];
}

export function readCode(hash: string): Scanned | undefined {
  const [version, chain, size, root, ...seals] = hash.replace(/^#/, "").split(".");
  const isWhole = version === "v1" && chain !== undefined && /^cl-[0-9a-f]{32}$/.test(chain) && root !== undefined && /^\d{1,15}$/.test(size ?? "");
  if (!isWhole || seals.length === 0 || seals.length > ENTRIES_MAX || !seals.every((seal) => /^[\w-]{43}$/.test(seal))) return undefined;
  return { chain, size: Number(size), root, seals };
}
