/** Protocol: Log (RFC 6962, SHA-256) and Map. Everything here *computes* a root: nothing is believed. */

import { type Bytes, concat, isSame } from "./bytes.ts";
import { sha256, tagged } from "./hashing.ts";
import { need } from "./refused.ts";

const EMPTY = new Uint8Array(32);
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const MAP_LEAF = Uint8Array.of(2);
const MAP_NODE = Uint8Array.of(3);

/** A complete subtree of a log: 2^level leaves. */
interface Peak {
  readonly level: number;
  readonly node: Bytes;
}

/** The digests that are joined, one by one. */
function split(joined: Bytes): Bytes[] {
  need(joined.length % 32 === 0, "path-digests");
  return Array.from({ length: joined.length / 32 }, (_, at) => joined.subarray(32 * at, 32 * at + 32));
}

/** Hash of an entry in a log. */
export function leafHash(entry: Uint8Array): Bytes {
  return sha256(LEAF, entry);
}

/** Root of the log of `size` entries with `entry` at `index` (RFC 9162, 2.1.3.2). Numbers may pass 32 bits. */
export function logRoot(entry: Uint8Array, index: number, size: number, path: Bytes): Bytes {
  need(index < size, "index-outside");
  let digest = leafHash(entry);
  let place = index;
  let last = size - 1;
  for (const sibling of split(path)) {
    need(last > 0, "path-long");
    if (place % 2 === 1 || place === last) {
      digest = sha256(NODE, sibling, digest);
      while (place > 0 && place % 2 === 0) {
        place /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      digest = sha256(NODE, digest, sibling);
    }
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  need(last === 0, "path-short");
  return digest;
}

/** Returns only if the log (newSize, newRoot) begins with the log (oldSize, oldRoot) (RFC 9162, 2.1.4.2). */
export function checkConsistency(
  oldSize: number,
  oldRoot: Bytes,
  newSize: number,
  newRoot: Bytes,
  path: Bytes,
): void {
  need(0 < oldSize && oldSize <= newSize, "consistency-sizes");
  const siblings = split(path);
  if (oldSize === newSize) {
    need(siblings.length === 0 && isSame(oldRoot, newRoot), "consistency-root");
    return;
  }
  let place = oldSize - 1;
  let last = newSize - 1;
  while (place % 2 === 1) {
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  // A size that is a power of two is a subtree of its own: its root is not written.
  const first = place === 0 ? oldRoot : siblings.shift();
  need(first !== undefined, "path-short");
  let before = first;
  let now = first;
  for (const sibling of siblings) {
    need(last > 0, "path-long");
    if (place % 2 === 1 || place === last) {
      before = sha256(NODE, sibling, before);
      now = sha256(NODE, sibling, now);
      while (place > 0 && place % 2 === 0) {
        place /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      now = sha256(NODE, now, sibling);
    }
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  need(last === 0, "path-short");
  need(isSame(before, oldRoot) && isSame(now, newRoot), "consistency-root");
}

/** One more complete subtree, to the right of all others. */
export function push(peaks: Peak[], level: number, node: Bytes): void {
  let whole: Peak = { level, node };
  for (let left = peaks.at(-1); left !== undefined && left.level === whole.level; left = peaks.at(-1)) {
    peaks.pop();
    whole = { level: whole.level + 1, node: sha256(NODE, left.node, whole.node) };
  }
  peaks.push(whole);
}

/** The root over these subtrees; of an empty log, if there are none. */
export function fold(peaks: readonly Peak[]): Bytes {
  const nodes = peaks.map((peak) => peak.node);
  return nodes.length === 0 ? sha256() : nodes.reduceRight((right, left) => sha256(NODE, left, right));
}

/** Root of the log of these entries. */
export function treeRoot(entries: readonly Uint8Array[]): Bytes {
  const peaks: Peak[] = [];
  for (const entry of entries) push(peaks, 0, leafHash(entry));
  return fold(peaks);
}

/** Root of the first n entries, for each of these sizes that there is. */
export function prefixRoots(entries: readonly Uint8Array[], sizes: readonly number[]): Map<number, Bytes> {
  const roots = new Map([[0, sha256()]]);
  const peaks: Peak[] = [];
  let at = 0;
  const within = new Set(sizes.filter((size) => 0 < size && size <= entries.length));
  for (const size of [...within].sort((one, other) => one - other)) {
    for (const entry of entries.slice(at, size)) push(peaks, 0, leafHash(entry));
    at = size;
    roots.set(size, fold(peaks));
  }
  return roots;
}

/**
 * The root at each of the ascending sizes; `nodes` tile what lies between one size and the next with the largest
 * complete subtrees, so that each history is shown to begin with the one before.
 */
export function historyRoots(sizes: readonly number[], nodes: Bytes): Map<number, Bytes> {
  const roots = new Map<number, Bytes>();
  const peaks: Peak[] = [];
  let start = 0;
  let at = 0;
  for (const size of sizes) {
    need(start < size, "history-sizes");
    while (start < size) {
      let level = floorLog2(size - start);
      if (start > 0) level = Math.min(level, countTwos(start));
      need(at + 32 <= nodes.length, "history-nodes");
      push(peaks, level, nodes.subarray(at, at + 32));
      start += 2 ** level;
      at += 32;
    }
    roots.set(size, fold(peaks));
  }
  need(at === nodes.length, "history-nodes");
  return roots;
}

/** The greatest level with 2^level ≤ value. */
function floorLog2(value: number): number {
  let level = 0;
  for (let rest = value; rest >= 2; rest = Math.floor(rest / 2)) level += 1;
  return level;
}

/** How often two divides the value, which is above 0. */
function countTwos(value: number): number {
  let level = 0;
  for (let rest = value; rest % 2 === 0; rest /= 2) level += 1;
  return level;
}

/** The bit of a key or bitmap at this depth, the most significant first. */
function bitAt(bits: Uint8Array, depth: number): number {
  return ((bits[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1;
}

/** How many bits two keys have in common from the first on. */
function countCommon(one: Uint8Array, other: Uint8Array): number {
  let depth = 0;
  while (depth < 256 && bitAt(one, depth) === bitAt(other, depth)) depth += 1;
  return depth;
}

/**
 * Root of the map that holds `value` under the 256-bit `key`; if that is null, none, but perhaps an `other` leaf (key,
 * value hash) in its place. Path, root to leaf: u8 n | bitmap of n bytes | a digest for each set bit; 0 = empty
 * sibling. The last set bit is the deepest sibling: an only leaf stands for its whole subtree, so that is never empty.
 */
export function mapRoot(key: Bytes, value: Uint8Array | null, path: Bytes, other?: Bytes): Bytes {
  const size = path[0] ?? 0;
  const bitmap = path.subarray(1, 1 + size);
  const isCanonical = bitmap.length === size && size <= 32 && (size === 0 || bitmap[size - 1] !== 0);
  need(isCanonical, "map-bitmap");
  let deepest = 8 * size;
  while (deepest > 0 && bitAt(bitmap, deepest - 1) === 0) deepest -= 1;
  const depths = Array.from({ length: deepest }, (_, depth) => depth);
  const count = depths.filter((depth) => bitAt(bitmap, depth) === 1).length;
  need(path.length === 1 + size + 32 * count, "map-siblings");
  const siblings = split(path.subarray(1 + size));
  need(!siblings.some((sibling) => isSame(sibling, EMPTY)), "map-empty");
  let digest =
    value === null ? absentRoot(key, deepest, other) : mapLeaf(concat(key, tagged("cl1.value", value)));
  for (const depth of depths.reverse()) {
    const sibling = bitAt(bitmap, depth) === 1 ? (siblings.pop() ?? EMPTY) : EMPTY;
    digest = bitAt(key, depth) === 1 ? sha256(MAP_NODE, sibling, digest) : sha256(MAP_NODE, digest, sibling);
  }
  return digest;
}

/** What stands where the key's leaf would: another one, or nothing. */
function absentRoot(key: Bytes, deepest: number, other?: Bytes): Bytes {
  if (other === undefined) return EMPTY;
  const common = countCommon(key, other);
  need(deepest <= common && common < 256, "map-other");
  return mapLeaf(other);
}

function mapLeaf(leaf: Uint8Array): Bytes {
  return sha256(MAP_LEAF, leaf);
}
