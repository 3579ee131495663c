import { useSyncExternalStore } from "react";

/** What of the tour was done, in this tab's memory: it says nothing of anybody, and goes with the tab. */
const done = new Map<string, ReadonlySet<string>>();
const listeners = new Set<() => void>();
const NOTHING: ReadonlySet<string> = new Set();

interface Tour {
  readonly done: ReadonlySet<string>;
  /** Marks a step done; a second time undoes it, unless it `stays`. */
  readonly tick: (id: string, stays?: boolean) => void;
  readonly begin: () => void;
}

function change(name: string, next: ReadonlySet<string>): void {
  done.set(name, next);
  for (const listener of listeners) listener();
}

function watch(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The tour of that name. */
export function useTour(name: string): Tour {
  const now = useSyncExternalStore(watch, () => done.get(name) ?? NOTHING);
  const tick = (id: string, stays = false): void => {
    const next = new Set(now);
    if (next.has(id) && !stays) next.delete(id);
    else next.add(id);
    change(name, next);
  };
  return { done: now, tick, begin: () => change(name, NOTHING) };
}
