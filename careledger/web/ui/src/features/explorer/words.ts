import { type MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { locale } from "../../lib/i18n.ts";
import { lookUp } from "../../lib/table.ts";

/** What each kind of message does, for people. One that is not here is called by its name. */
const WORDS: Readonly<Record<string, MessageDescriptor>> = {
  "sys.profile": msg`The program that executes this ledger is named`,
  "identity.register": msg`A member of an organisation is registered: a practitioner, a device or a part of it`,
  "identity.rotate": msg`A key is replaced`,
  "identity.deactivate": msg`A member may do nothing any more, for ever`,
  "identity.suspend": msg`A member is suspended and signs nothing from this block on`,
  "identity.reinstate": msg`A suspended member may act again`,
  "identity.license": msg`A practitioner is licensed for a role, until a last day`,
  "identity.sign": msg`A practitioner signs a statement; the ledger sees its fingerprint alone`,
  "records.anchor": msg`New entries of patients' charts are sealed: one fingerprint over all of them, no content`,
  "consent.grant": msg`A patient's decision comes into force; the ledger sees its fingerprint, not who or what`,
  "consent.revoke": msg`A patient's decision ends, from this block on and for ever`,
  "governance.admit": msg`An organisation is admitted`,
  "governance.found": msg`An organisation founds the network as one of its validators`,
  "governance.propose": msg`A decision is proposed to the network's organisations`,
  "governance.vote": msg`An organisation votes on a proposal`,
  "governance.parameter": msg`A limit of the ledger is set`,
  "ledger.adopt": msg`An organisation brings the ledger that it had before onto the network`,
  "ledger.follow": msg`An organisation brings decisions of its former ledger onto the network`,
};

/** The words of a kind of message; undefined for a kind that this application does not know yet. */
export function wordsOf(type: string): MessageDescriptor | undefined {
  return lookUp(WORDS, type);
}

/** A span of time, to a tenth of a second, as the reader's language writes numbers and units. */
export function saySeconds(ms: number): string {
  return new Intl.NumberFormat(locale(), { style: "unit", unit: "second", unitDisplay: "short", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(ms / 1000);
}

/** The beginning of a hash: enough to tell two apart on a screen. The whole stands where it matters. */
export function shorten(hash: string): string {
  return hash.length > 16 ? `${hash.slice(0, 12)}…` : hash;
}

/** How an organisation is called; the end of its DID where it has no name. */
export function callParty(party: { readonly did: string; readonly name: string }): string {
  return party.name === "" ? `…${party.did.slice(-8)}` : party.name;
}
