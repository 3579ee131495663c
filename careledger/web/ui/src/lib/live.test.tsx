import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { follow, type Head, type OnChange } from "./live.ts";
import type { Node } from "./node.ts";
import { Refusal, Unreachable } from "./refusal.ts";

type Answer = Head | Error;
const head = (records: number, accesses = 1, height = 1): Head => ({ records, accesses, height });

/** A node that answers these heads one after the other, then waits for ever. */
function nodeOf(answers: readonly Answer[]): { readonly node: Node; readonly asked: string[] } {
  const asked: string[] = [];
  const left = [...answers];
  const api = (path: string): Promise<Head> => {
    asked.push(path);
    const next = left.shift();
    if (next === undefined) return new Promise(() => undefined);
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  };
  return { node: { api } as unknown as Node, asked };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function run(answers: readonly Answer[], ms: number, isHidden = () => false): Promise<{ readonly heard: readonly Head[]; readonly asked: readonly string[] }> {
  const { node, asked } = nodeOf(answers);
  const heard: Head[] = [];
  const stop = new AbortController();
  void follow(node, "maria", ["records"], (one) => void heard.push(one), stop.signal, { isHidden });
  await vi.advanceTimersByTimeAsync(ms);
  stop.abort();
  return { heard, asked };
}

describe("following a chart", () => {
  it("hears what grew and not what it grew from, and asks for nothing but that", async () => {
    const { heard, asked } = await run([head(5), head(5, 2), head(6, 2)], 2_000);
    expect(heard).toEqual([head(6, 2)]);
    expect(asked).toEqual(["/charts/maria/head", "/charts/maria/head?after=5.*.*", "/charts/maria/head?after=5.*.*", "/charts/maria/head?after=6.*.*"]);
  });

  it("tries again ever more slowly while nobody answers", async () => {
    const lost = Array.from({ length: 9 }, () => new Unreachable("no"));
    expect((await run(lost, 1_000 + 2_000 + 4_000 + 500)).asked.length).toBe(4);
    expect((await run(lost, 300_000)).asked.length).toBeLessThan(11);
  });

  it("goes on where its reader's own look left the log, after the reader's pause, and tries again what could not be read", async () => {
    const { node, asked } = nodeOf([head(5, 8), head(5, 8), head(5, 12), head(5, 20)]);
    let calls = 0;
    const read: OnChange = (one) => {
      calls += 1;
      return calls === 1 ? Promise.reject(new Unreachable("no")) : Promise.resolve({ head: { ...one, accesses: one.accesses + 1 }, pauseMs: 10_000 });
    };
    const stop = new AbortController();
    void follow(node, "maria", ["accesses"], read, stop.signal, { begin: head(0, 7, 0), isHidden: () => false });
    await vi.advanceTimersByTimeAsync(1_500);
    expect(asked).toEqual(["/charts/maria/head?after=*.7.*", "/charts/maria/head?after=*.7.*"]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked.slice(2)).toEqual(["/charts/maria/head?after=*.9.*"]);
    await vi.advanceTimersByTimeAsync(10_000);
    stop.abort();
    expect(asked.slice(3)).toEqual(["/charts/maria/head?after=*.13.*"]);
  });

  it("ends with a refusal", async () => {
    expect((await run([head(5), new Refusal(403, "forbidden", "", ""), head(9)], 60_000)).asked.length).toBe(2);
  });

  it("asks nothing while nobody sees the page", async () => {
    vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    expect((await run([head(5)], 60_000, () => true)).asked).toEqual([]);
    vi.restoreAllMocks();
  });
});
