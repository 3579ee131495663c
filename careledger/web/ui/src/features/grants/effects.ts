import type { Coding, Grantee, Terms } from "../../lib/directives.ts";
import { dayOf, type Decision, readCoding, readGrantee, standingOf } from "./decisions.ts";

/**
 * What a decision would change, from the rules of docs/spec/consent.md: denies first, then permits, then what the house's own
 * people may by themselves, else nothing. For reading; emergencies, writing and narrow rights of programs are not in it.
 */

/** Somebody of whom is asked what they may see: as directives name them. */
export interface Caller {
  readonly names: readonly Grantee[];
  /** Works for the house that keeps the record. */
  readonly isOfHouse: boolean;
}

/** What is looked at: a type of record, with one category or none. */
export interface Thing {
  readonly type: string;
  readonly category: Coding | undefined;
}

/** What decides. */
export type Why = "denied" | "allowed" | "house" | "nothing";

/** Whoever is meant, for a purpose, and what of it they see before and after. */
export interface Change {
  readonly purpose: string;
  readonly thing: Thing;
  readonly before: Why;
  readonly after: Why;
}

interface Rule {
  readonly effect: "permit" | "deny";
  readonly grantees: readonly Grantee[];
  readonly purposes: readonly string[];
  readonly types: readonly string[];
  readonly categories: readonly Coding[];
  readonly labels: readonly Coding[];
}

const HOUSE_PURPOSES: ReadonlySet<string> = new Set(["TREAT", "HPAYMT", "HOPERAT"]);
/** Whatever is not named otherwise stands for the rest of the record. */
export const REST = "*";

/** Whether somebody sees it, and by what right. */
export function decide(rules: readonly Rule[], caller: Caller, purpose: string, thing: Thing): Why {
  const counting = rules.filter((rule) => meets(rule, caller, purpose) && covers(rule, thing));
  if (counting.some((rule) => rule.effect === "deny")) return "denied";
  if (counting.some((rule) => rule.effect === "permit")) return "allowed";
  return caller.isOfHouse && HOUSE_PURPOSES.has(purpose) ? "house" : "nothing";
}

function meets(rule: Rule, caller: Caller, purpose: string): boolean {
  const isNamed = rule.grantees.some((one) => caller.names.some((name) => name.kind === one.kind && name.value === one.value));
  return isNamed && (rule.purposes.length === 0 || rule.purposes.includes(purpose));
}

function covers(rule: Rule, thing: Thing): boolean {
  if (rule.labels.length > 0) return false; // shown apart: no type tells which records bear a label
  if (rule.types.length > 0 && !rule.types.includes(thing.type)) return false;
  const { category } = thing;
  if (rule.categories.length === 0) return true;
  if (category === undefined) return false;
  const isAny = rule.effect === "deny" && category.system === ""; // a deny covers a code whose system nobody knows
  return rule.categories.some((one) => one.code === category.code && (isAny || one.system === "" || one.system === category.system));
}

/** The decisions that count on a day. */
export function rulesOf(all: readonly Decision[], today: number): readonly Rule[] {
  return all
    .filter((one) => standingOf(one, all, today) === "holds" && one.actions.includes("access"))
    .map((one) => ({
      effect: one.effect,
      grantees: one.grantees.flatMap((text) => readGrantee(text) ?? []),
      purposes: one.purposes,
      types: one.types,
      categories: one.categories.map(readCoding),
      labels: one.labels.map(readCoding),
    }));
}

/** What these terms change for this caller on their first day: whatever any decision about them names, and the rest. */
export function compare(all: readonly Decision[], terms: Terms, caller: Caller, purposes: readonly string[]): readonly Change[] {
  const kept = all.filter((one) => one.id !== terms.supersedes);
  const added = terms.actions.includes("access") ? [terms] : [];
  const before = rulesOf(all, terms.from_day);
  return list(before, [...rulesOf(kept, terms.from_day), ...added], caller, terms.purposes.length === 0 ? purposes : terms.purposes);
}

/** What changes for this caller if a decision is withdrawn. */
export function compareWithdrawal(all: readonly Decision[], one: Decision, caller: Caller, purposes: readonly string[], today: number): readonly Change[] {
  const left = all.filter((other) => other.id !== one.id);
  return list(rulesOf(all, today), rulesOf(left, today), caller, one.purposes.length === 0 ? purposes : one.purposes);
}

function list(before: readonly Rule[], after: readonly Rule[], caller: Caller, purposes: readonly string[]): readonly Change[] {
  return purposes.flatMap((purpose) => {
    const about = [...before, ...after].filter((rule) => meets(rule, caller, purpose));
    return thingsOf(about).map((thing) => ({ purpose, thing, before: decide(before, caller, purpose, thing), after: decide(after, caller, purpose, thing) }));
  });
}

/** Everything that these rules name, once each, and what none of them names. */
function thingsOf(rules: readonly Rule[]): readonly Thing[] {
  const things = new Map<string, Thing>();
  for (const { types, categories } of rules) {
    for (const type of types.length === 0 ? [REST] : types) {
      for (const category of categories.length === 0 ? [undefined] : categories) {
        things.set(`${type} ${category?.system ?? ""} ${category?.code ?? ""}`, { type, category });
      }
    }
  }
  const rest = `${REST}  `;
  things.delete(rest);
  return [...things.values(), { type: REST, category: undefined }];
}

/** The caller whom a decision means first; people of the house are those whom the house's own list names. */
export function callerOf(grantee: Grantee, house: string): Caller {
  const isLocal = grantee.kind === "practitioner" && !grantee.value.startsWith("did:");
  const isHouse = grantee.kind === "organisation" && grantee.value === house;
  const isOfHouse = isLocal || isHouse || grantee.kind === "role";
  const also: readonly Grantee[] = isOfHouse && !isHouse ? [{ kind: "organisation", value: house }] : [];
  return { names: [grantee, ...also], isOfHouse };
}

/** Whether the period is one that can be signed: neither empty nor over. */
export function isPeriod(from: string, until: string, today: number): boolean {
  const [first, last] = [dayOf(from), dayOf(until)];
  return first <= last && today <= last;
}
