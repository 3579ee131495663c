import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { Plural, Trans } from "@lingui/react/macro";
import type { ReactElement } from "react";
import { KINDS, LANGUAGES, PURPOSES, RECORDS, type Words } from "../../lib/directive_words.ts";
import { locale } from "../../lib/i18n.ts";
import { type Entry, kindOf, type Look, type Seen } from "./log.ts";

/** The word for a code in the page's language; the code itself where we have none. */
export function wordFor(words: Words, code: string): string {
  const pair = Object.hasOwn(words, code) ? words[code] : undefined;
  return pair?.[LANGUAGES.indexOf(locale())] ?? code;
}

/** Codes of purposes that directives seldom name, but logs hold. */
const MORE: Words = { OPERAT: ["running the organisation", "funcionamiento de la organización"] };

export function purposeOf(code: string): string {
  return wordFor(Object.hasOwn(PURPOSES, code) ? PURPOSES : MORE, code);
}

export function recordsOf(type: string): string {
  return wordFor(Object.hasOwn(RECORDS, type) ? RECORDS : KINDS, type);
}

const ACTIONS: Readonly<Record<string, MessageDescriptor>> = {
  audit: msg`looked at who had looked`,
  consents: msg`looked at your decisions`,
  "copy-key": msg`took the key of your sealed copies`,
  count: msg`counted`,
  emergency: msg`opened the record in an emergency`,
  everything: msg`took the whole record`,
  explain: msg`asked why something was allowed`,
  export: msg`took a copy with proofs`,
  history: msg`read older versions`,
  include: msg`read along with others`,
  read: msg`read`,
  receipt: msg`took a proof of an entry`,
  search: msg`searched`,
  vread: msg`read an older version`,
  watch: msg`waited for news`,
};

/** What was done, in words; another word of the log as it stands. */
export function actionOf(entry: Entry): MessageDescriptor | string {
  return Object.hasOwn(ACTIONS, entry.action) ? (ACTIONS[entry.action] ?? entry.action) : entry.action;
}

/** Who it was: a person's name, a program, or what can be said of somebody without either. */
export function Person({ entry }: { readonly entry: Entry }): ReactElement {
  if (kindOf(entry) === "mine") return <Trans>You</Trans>;
  if (kindOf(entry) === "account") return <Trans>Your account</Trans>;
  if (entry.rule === "operator") return <Trans>The technicians of the house</Trans>;
  if (entry.who.name !== "") return <>{entry.who.name}</>;
  if (entry.who.subject !== "" || entry.who.id.startsWith("did:")) return <Trans>Somebody without a name here</Trans>;
  return <Trans>The program “{entry.client}”</Trans>;
}

/** The house it was for: its name on the ledger, or its number there. */
export function houseOf(entry: Entry): string {
  return entry.organisation.name === "" ? entry.organisation.did : entry.organisation.name;
}

/** Why the node let it happen, or did not. */
export function Authority({ entry }: { readonly entry: Entry }): ReactElement {
  const house = houseOf(entry);
  switch (entry.rule) {
    case "own-chart":
      return <Trans>It is your own record.</Trans>;
    case "custodian-default":
      return <Trans>Whoever works at {house} may see the record for your care, its payment and running the house, unless you refuse.</Trans>;
    case "directive-permit":
      return <Trans>You allowed it.</Trans>;
    case "emergency":
      return <Trans>Emergency access: it overrides your refusals for some hours, and somebody must review it.</Trans>;
    case "operator":
      return <Trans>On the house's own server, where no person of the page was signed in.</Trans>;
    case "supporting":
      return <Trans>Names of staff and places only, without which a record cannot be read.</Trans>;
    case "directive-deny":
      return <Trans>You refused it: nothing was shown.</Trans>;
    case "no-directive":
      return <Trans>You have not allowed it to anybody outside the house: nothing was shown.</Trans>;
    case "stale":
      return <Trans>The house did not have the ledger's newest blocks: nothing was shown.</Trans>;
    default:
      return <Trans>Their rights did not reach so far ({entry.rule}): nothing was shown.</Trans>;
  }
}

/** Marks beside a look. Colour is never alone: the words say it. */
export function Marks({ look }: { readonly look: Look }): ReactElement | null {
  if (look.kind === "emergency") return <span className="tag warn"><Trans>emergency</Trans></span>;
  if (look.kind !== "refused") return null;
  return <span className="tag bad">{look.first.rule === "directive-deny" ? <Trans>refused by your wish</Trans> : <Trans>refused</Trans>}</span>;
}

const SHOWN_MAX = 4;

/** How much left, of which kinds. */
export function Amount({ seen }: { readonly seen: Seen }): ReactElement {
  const total = [...seen.values()].reduce((sum, count) => sum + count, 0);
  if (total === 0) return <Trans>No entry of the record was shown.</Trans>;
  const named = [...seen].slice(0, SHOWN_MAX).map(([type, count]) => `${count} × ${type === "" ? "…" : recordsOf(type)}`);
  const rest = seen.size - SHOWN_MAX;
  return (
    <>
      <Plural value={total} one="# entry was shown" other="# entries were shown" />: {named.join(", ")}
      {rest > 0 ? <> + <Plural value={rest} one="# more kind" other="# more kinds" /></> : null}
    </>
  );
}

/** A moment in the page's language; the day can be left out where it stands above. */
export function timeOf(timeMs: number, hasDay: boolean): string {
  const style: Intl.DateTimeFormatOptions = hasDay ? { dateStyle: "medium", timeStyle: "short" } : { timeStyle: "short" };
  return new Intl.DateTimeFormat(locale(), style).format(timeMs);
}

export function dayOf(timeMs: number): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "full" }).format(timeMs);
}
