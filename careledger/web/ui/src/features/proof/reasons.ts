import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { Code } from "../../lib/proof/index.ts";

const MISSING = msg`an entry is missing, or was changed.`;
const UNDONE = msg`what stood there before has been changed or removed since.`;
const SIGNED = msg`a signature does not hold.`;
const TRUST = msg`the trust file itself does not hold.`;
const OTHER = msg`the file is of another ledger or chart than the one you trust.`;
const LOOKED = msg`the log of who looked does not hold.`;
const DECIDED = msg`what you decided does not stand as you signed it.`;
const PLACE = msg`what was recorded is not where the ledger says.`;
const BROKEN = msg`the file is damaged, or somebody changed it.`;

/** What went wrong, for whoever need not know how it works; the verifier's own sentence stands with the details. */
const EXACT: Partial<Record<Code, MessageDescriptor>> = {
  body: msg`the record is not the one that was written down.`,
  fork: msg`the ledger shows two different pasts.`,
  "fork-header": msg`the ledger shows two different pasts.`,
  "fork-state": msg`the ledger shows two different pasts.`,
  rewritten: msg`the past of the ledger was rewritten.`,
  "heads-apart": MISSING,
  withheld: MISSING,
  "leaf-outside": PLACE,
  "batch-late": PLACE,
  "batch-outside": PLACE,
  "block-outside": PLACE,
  "anchor-late": PLACE,
  "access-denied": msg`somebody saw what nothing allowed them to see.`,
  "other-ledger": OTHER,
  "earlier-chart": OTHER,
  "not-witnessed": msg`no witness from outside has signed it, and you demand one.`,
  "too-old": msg`the proof is older than you accept: get a new one.`,
  "older-checkpoint": msg`the file is older than what you trust already.`,
  "export-older": msg`the file is older than what you trust already.`,
  "only-checkpoint": msg`a checkpoint alone proves nothing: choose a receipt or a copy of the record with it.`,
  "export-since": msg`the copy does not begin where your trust file ends: get a new copy.`,
  "trust-expired": msg`this device last looked more than 14 days ago, and cannot follow the network from there: begin anew.`,
  future: msg`the clock of this device is wrong.`,
  "two-thirds": msg`fewer than two thirds of the network signed it.`,
  third: msg`fewer than two thirds of the network signed it.`,
  "two-thirds-past": msg`fewer than two thirds of the network signed it.`,
  "too-large": msg`the file is too large for a browser: use the command line.`,
  "signature-unsupported": msg`this browser is too old to check such signatures.`,
  defect: msg`the check itself failed. Try again, or use the command line.`,
};

/** Of her own record, fetched just now: what in a file would be the wrong or an old copy is here a past that is gone. */
const OWN: Partial<Record<Code, MessageDescriptor>> = { "export-since": UNDONE, "export-older": UNDONE };

/** By how the codes begin, the first that fits. */
const BY_BEGINNING: readonly (readonly [string, MessageDescriptor])[] = [
  ["earlier-", UNDONE],
  ["pin-", UNDONE],
  ["dated-", UNDONE],
  ["former-", UNDONE],
  ["signature", SIGNED],
  ["note-", SIGNED],
  ["no-operator", SIGNED],
  ["votes-", SIGNED],
  ["validator", SIGNED],
  ["trust-", TRUST],
  ["entry-", MISSING],
  ["enrolment-", MISSING],
  ["erased-", MISSING],
  ["body-", MISSING],
  ["access-", LOOKED],
  ["directive-", DECIDED],
  ["controller-", DECIDED],
  ["passkey-", DECIDED],
  ["standing-", DECIDED],
  ["history-", UNDONE],
  ["consistency-", UNDONE],
];

/** Why something is not confirmed, as the end of a sentence; `isOwn` of one's own record as the house gives it now. */
export function reasonOf(code: Code, isOwn = false): MessageDescriptor {
  return (isOwn ? OWN[code] : undefined) ?? EXACT[code] ?? BY_BEGINNING.find(([begin]) => code.startsWith(begin))?.[1] ?? BROKEN;
}
