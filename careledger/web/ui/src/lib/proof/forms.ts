/** Files: canonical JSON (RFC 8785) of a closed shape, so that each file has one spelling only. */

import { type Bytes, readBase64Url, readText } from "./bytes.ts";
import { need } from "./refused.ts";

/** The greatest size of a file that is no export, in bytes. */
export const INPUT_MAX = 1_000_000;
/** The greatest export that a browser takes, in bytes; the command line takes 512 million. */
export const EXPORT_MAX = 128_000_000;
const DEPTH_MAX = 64;

/** Reads a part of a file: the typed value, or throws `Refused` naming the place. */
export type Form<T> = (value: unknown, where: string) => T;
/** What a form reads. */
export type Of<F> = F extends Form<infer T> ? T : never;
type Fields = Readonly<Record<string, Form<unknown>>>;
type Read<F extends Fields> = { readonly [Name in keyof F]: Of<F[Name]> };
/** An object of JSON that whoever takes it has yet to check. */
export type Raw = Readonly<Record<string, unknown>>;

/** The file in this form; re-encoded it is exactly these bytes. */
export function parse<T>(data: Uint8Array, form: Form<T>, what: string, most = INPUT_MAX): T {
  return form(readCanonical(data, what, most), what);
}

/** The JSON of an answer, however it is spelled: for what proves itself. */
export function readLoose(data: Uint8Array, what: string): unknown {
  need(data.length <= EXPORT_MAX, "too-large", what);
  const value = readJson(readText(data) ?? "");
  need(value !== undefined, "not-json", what);
  return value;
}

/** The JSON that re-encodes to exactly these bytes: no other spacing, order, escape, or repeated key. */
export function readCanonical(data: Uint8Array, what: string, most: number): unknown {
  need(data.length <= most, "too-large", what);
  const text = readText(data);
  need(text !== null, "not-json", what);
  const value = readJson(text);
  need(value !== undefined, "not-json", what);
  need(isOrdered(value, 0) && JSON.stringify(value) === text, "not-canonical", what);
  return value;
}

/** undefined if this is no JSON. */
function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Keys ascend, nothing nests without end, and no text is half a character (which would re-encode to itself). */
function isOrdered(value: unknown, depth: number): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  if (depth === DEPTH_MAX) return false;
  if (Array.isArray(value)) return value.every((item) => isOrdered(item, depth + 1));
  let before: string | null = null;
  for (const [name, item] of Object.entries(value)) {
    if ((before !== null && name <= before) || !name.isWellFormed() || !isOrdered(item, depth + 1))
      return false;
    before = name;
  }
  return true;
}

/** A whole number from `least` to `most`. */
export function whole(least: number, most: number): Form<number> {
  return (value, where) => {
    const holds = typeof value === "number" && Number.isSafeInteger(value) && least <= value && value <= most;
    need(holds, "number", where);
    return value;
  };
}

/** A text of this pattern, which must begin with ^ and end with $. */
export function text(pattern: RegExp): Form<string> {
  return (value, where) => {
    need(typeof value === "string" && pattern.test(value), "text", where);
    return value;
  };
}

/** One of these texts. */
export function oneOf<T extends string>(...choices: readonly T[]): Form<T> {
  return (value, where) => {
    const found = choices.find((choice) => choice === value);
    need(found !== undefined, "text", where);
    return found;
  };
}

/** Bytes in base64url, of `least` to `most` of them. */
export function bytes(least: number, most: number): Form<Bytes> {
  return (value, where) => {
    const raw = typeof value === "string" ? readBase64Url(value) : null;
    need(raw !== null, "base64", where);
    need(least <= raw.length && raw.length <= most, "length", where);
    return raw;
  };
}

/** A list of `least` to `most` items of one form. */
export function list<T>(form: Form<T>, least: number, most: number): Form<readonly T[]> {
  return (value, where) => {
    need(Array.isArray(value) && least <= value.length && value.length <= most, "list", where);
    return value.map((item) => form(item, where));
  };
}

/** Any object; whoever takes it checks it. */
export const raw: Form<Raw> = (value, where) => {
  need(isObject(value), "object", where);
  return value;
};

/** An object with exactly the required fields, and those of the optional ones that it has. */
export function object<R extends Fields, O extends Fields = Record<never, never>>(
  required: R,
  optional?: O,
): Form<Read<R> & Partial<Read<O>>> {
  const fields = new Map(Object.entries({ ...required, ...optional }));
  const names = Object.keys(required);
  return (value, where) => {
    need(isObject(value), "object", where);
    const isClosed = Object.keys(value).every((name) => fields.has(name));
    need(isClosed && names.every((name) => Object.hasOwn(value, name)), "fields", where);
    const read: Record<string, unknown> = {};
    for (const [name, item] of Object.entries(value))
      read[name] = fields.get(name)?.(item, `${where}.${name}`);
    return read as Read<R> & Partial<Read<O>>; // each field is as its form returned it
  };
}

function isObject(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// What each field of a file is.
/** SHA-256, an organisation, a handle, a salt. */
export const DIGEST = bytes(32, 32);
/** Siblings from a leaf to the root of a log. */
export const LOG_PATH = bytes(0, 53 * 32);
/** u8 n | bitmap of n bytes | siblings. */
export const MAP_PATH = bytes(1, 33 + 256 * 32);
/** What RFC 8785 writes exactly. */
export const NUMBER = whole(0, 2 ** 53 - 1);
/** Milliseconds since 1970, to the end of the year 9999. */
export const TIME = whole(0, 253_402_300_799_999);
/** A chain id. */
export const CHAIN = text(/^cl-[0-9a-f]{32}$/);
/** Any text. */
export const ANY = text(/^/);
