import type { Coding, Grantee, Terms } from "./directives.ts";
import { ANY_PURPOSE, EVERYTHING, KINDS, LANGUAGES, LINES, PURPOSES, RECORDS, type Language, type Words } from "./directive_words.ts";

/** What those are called whom a directive names: by DID, or logical id of a practitioner. */
export type Names = Readonly<Record<string, string>>;

const DAY_MS = 86_400_000;

/**
 * The lines that say what a directive says, joined by newlines: everything in it that decides. They are signed with it,
 * and the node refuses it with any others. Lists are in the directive's order; `organisation` is the custodian's DID.
 */
export function composeShown(terms: Terms, organisation: string, names: Names, language: Language): string {
  const line = (name: string, ...values: readonly string[]): string => fill(pick(LINES, name, language), values);
  const lines = [
    line(terms.effect, called(organisation, names)),
    ...terms.grantees.map((one) => line(one.kind, grantee(one, names))),
    line("types", list(terms.types, RECORDS, language) || word(EVERYTHING, language)),
  ];
  if (terms.categories.length > 0) lines.push(line("categories", codings(terms.categories, language)));
  if (terms.labels.length > 0) lines.push(line("labels", codings(terms.labels, language)));
  lines.push(...terms.actions.map((one) => line(one)));
  lines.push(line("purposes", list(terms.purposes, PURPOSES, language) || word(ANY_PURPOSE, language)));
  lines.push(line("period", day(terms.from_day), day(terms.until_day)));
  if (terms.supersedes !== "") lines.push(line("supersedes", terms.supersedes));
  return lines.join("\n");
}

/** YYYY-MM-DD of a day counted from 1970-01-01. */
export function day(days: number): string {
  return new Date(days * DAY_MS).toISOString().slice(0, 10);
}

function called(value: string, names: Names): string {
  const name = Object.hasOwn(names, value) ? names[value] : undefined;
  return name === undefined || name === "" ? value : `${name} (${value})`;
}

function grantee(one: Grantee, names: Names): string {
  return one.kind === "role" ? one.value : called(one.value, names);
}

function list(codes: readonly string[], words: Words, language: Language): string {
  return codes.map((one) => (Object.hasOwn(words, one) ? `${pick(words, one, language)} (${one})` : one)).join(", ");
}

function codings(items: readonly Coding[], language: Language): string {
  return items
    .map((one) => {
      const code = one.system === "" ? one.code : `${one.system}|${one.code}`;
      return Object.hasOwn(KINDS, one.code) ? `${pick(KINDS, one.code, language)} (${code})` : code;
    })
    .join(", ");
}

function pick(words: Words, name: string, language: Language): string {
  const pair = words[name];
  if (pair === undefined) throw new RangeError("no words for this");
  return word(pair, language);
}

function word(pair: readonly [string, string], language: Language): string {
  return pair[LANGUAGES.indexOf(language)] ?? pair[0];
}

/** The values in the places of `{}`, in their order. */
function fill(line: string, values: readonly string[]): string {
  const parts = line.split("{}");
  return parts.map((part, index) => part + (index < parts.length - 1 ? (values[index] ?? "") : "")).join("");
}
