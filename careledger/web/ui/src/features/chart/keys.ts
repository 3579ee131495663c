import { useEffect, useRef, useSyncExternalStore } from "react";

/** What a key does. Two keys in a row are written "g p". */
export type Keys = Readonly<Record<string, () => void>>;

const SECOND_MS = 1_200;
const STORE = "careledger-keys";
const listeners = new Set<() => void>();

/** Whether keys without a modifier do something: people who dictate turn them off (WCAG 2.1.4). */
export function areKeysOn(): boolean {
  return localStorage.getItem(STORE) !== "off";
}

/** Turns them on or off, on this device. */
export function turnKeys(isOn: boolean): void {
  localStorage.setItem(STORE, isOn ? "on" : "off");
  for (const listener of listeners) listener();
}

export function useKeysOn(): boolean {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, areKeysOn);
}

const FIELDS = "input, textarea, select, [contenteditable]";

/** Whether a press is a command: no modifier, not while somebody writes, nor behind a dialog. */
function isCommand(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : null;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  return target?.closest(FIELDS) == null && document.querySelector("dialog[open]") === null;
}

/** While the component stands, these keys do this. */
export function useKeys(keys: Keys): void {
  const now = useRef(keys);
  now.current = keys;
  useEffect(() => {
    let first = "";
    let firstMs = 0;
    const press = (event: KeyboardEvent): void => {
      if (!areKeysOn() || !isCommand(event)) return;
      const both = performance.now() - firstMs < SECOND_MS ? `${first} ${event.key}` : "";
      const act = now.current[both] ?? now.current[event.key];
      first = event.key;
      firstMs = performance.now();
      if (act === undefined) return;
      event.preventDefault();
      first = "";
      act();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** To the next line of the page (1), or the one before (−1). */
export function stepLine(by: 1 | -1): void {
  const lines = [...document.querySelectorAll<HTMLElement>("#main .line")];
  const at = lines.findIndex((line) => line === document.activeElement);
  lines[at === -1 ? (by === 1 ? 0 : lines.length - 1) : Math.max(0, Math.min(lines.length - 1, at + by))]?.focus();
}
