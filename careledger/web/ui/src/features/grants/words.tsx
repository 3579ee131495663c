import { msg } from "@lingui/core/macro";
import type { MessageDescriptor } from "@lingui/core";
import { Trans, useLingui } from "@lingui/react/macro";
import type { ReactElement } from "react";
import { ANY_PURPOSE, EVERYTHING, KINDS, LANGUAGES, PURPOSES, RECORDS, type Words } from "../../lib/directive_words.ts";
import type { Coding, Grantee } from "../../lib/directives.ts";
import { locale } from "../../lib/i18n.ts";
import { type Decision, readCoding, readGrantee, type Standing } from "./decisions.ts";
import { REST, type Thing, type Why } from "./effects.ts";

function pick(pair: readonly [string, string]): string {
  return pair[LANGUAGES.indexOf(locale())] ?? pair[0];
}

function word(words: Words, code: string): string {
  const pair = Object.hasOwn(words, code) ? words[code] : undefined;
  return pair === undefined ? code : pick(pair);
}

function join(words: readonly string[]): string {
  return new Intl.ListFormat(locale(), { type: "conjunction" }).format(words);
}

export function recordsOf(types: readonly string[], categories: readonly Coding[], labels: readonly Coding[] = []): string {
  const what = types.length === 0 ? pick(EVERYTHING) : join(types.map((type) => word(RECORDS, type)));
  const narrow = [...categories, ...labels].map((one) => word(KINDS, one.code));
  return narrow.length === 0 ? what : `${what} (${join(narrow)})`;
}

export function purposesOf(codes: readonly string[]): string {
  return codes.length === 0 ? pick(ANY_PURPOSE) : join(codes.map((code) => word(PURPOSES, code)));
}

export function purposeOf(code: string): string {
  return word(PURPOSES, code);
}

/** Whom it is about; a DID stands for itself where nobody knows a name. */
export function nameOf(one: Grantee, names: Readonly<Record<string, string>>): string {
  const named = Object.hasOwn(names, one.value) ? names[one.value] : undefined;
  return named === undefined || named === "" ? one.value : named;
}

export function longDate(date: string): string {
  const time = Date.parse(`${date}T00:00:00Z`);
  return Number.isNaN(time) ? date : new Intl.DateTimeFormat(locale(), { dateStyle: "long", timeZone: "UTC" }).format(time);
}

/** A decision in one sentence. The lines that were signed stand below it. */
export function Sentence({ one }: { readonly one: Decision }): ReactElement {
  const { t } = useLingui();
  const grantees = one.grantees.flatMap((text) => readGrantee(text) ?? []);
  const named = grantees.map((grantee) => (grantee.kind === "role" ? t`everybody in the role ${grantee.value}` : nameOf(grantee, one.names ?? {})));
  const who = join(named);
  const what = recordsOf(one.types, one.categories.map(readCoding), one.labels.map(readCoding));
  const purposes = purposesOf(one.purposes);
  const until = longDate(one.until);
  const isProof = one.actions.length > 0 && one.actions.every((action) => action === "proof");
  if (one.effect === "deny") return isProof ? <Trans><b>{who}</b> may get no proofs of {what} for {purposes}, until {until}.</Trans> : <Trans><b>{who}</b> may not see {what} for {purposes}, until {until}.</Trans>;
  return isProof ? <Trans><b>{who}</b> may get proofs of {what} for {purposes}, until {until}.</Trans> : <Trans><b>{who}</b> may see {what} for {purposes}, until {until}.</Trans>;
}

export const STANDINGS: Readonly<Record<Standing, MessageDescriptor>> = {
  holds: msg`holds`,
  later: msg`holds later`,
  over: msg`over`,
  replaced: msg`replaced by a later one`,
  withdrawn: msg`withdrawn`,
  unbound: msg`without force: your key did not sign it, or the ledger does not know it`,
};

export const WHYS: Readonly<Record<Why, MessageDescriptor>> = {
  denied: msg`hidden: you refuse it`,
  allowed: msg`visible: you allow it`,
  house: msg`visible, as for all people of the house`,
  nothing: msg`hidden: nobody outside sees anything without your leave`,
};

/** What is looked at, in words; the rest of the record stands behind what is named. */
export function ThingName({ thing, isAlone }: { readonly thing: Thing; readonly isAlone: boolean }): ReactElement {
  if (thing.type === REST && thing.category === undefined) return isAlone ? <>{pick(EVERYTHING)}</> : <Trans>everything else</Trans>;
  return <>{recordsOf(thing.type === REST ? [] : [thing.type], thing.category === undefined ? [] : [thing.category])}</>;
}
