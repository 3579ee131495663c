import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { Kind } from "../../lib/session.ts";

type Who = Kind | "anybody";

interface Question {
  readonly id: string;
  readonly who: readonly Who[];
  readonly question: MessageDescriptor;
  readonly answer: MessageDescriptor;
}

const ALL: readonly Who[] = ["patient", "clinician", "administrator", "anybody"];

/** What people ask, and honest answers. */
export const QUESTIONS: readonly Question[] = [
  { id: "where", who: ALL, question: msg`Where is my record kept?`, answer: msg`With the house that treats you, sealed. The ledger holds fingerprints of it and no content: a copy of the ledger tells nobody anything about you.` },
  { id: "change", who: ALL, question: msg`Can somebody change or remove an entry unseen?`, answer: msg`No. A correction is a new version beside the old one. If an entry were removed or altered in the house's own store, the proof page would turn red.` },
  { id: "see", who: ["patient"], question: msg`Who can see my record?`, answer: msg`Without a decision of yours: people of this house, for your treatment, its payment and the running of the house. Everybody else: nobody. Under Sharing you allow more, or less.` },
  { id: "emergency", who: ["patient", "clinician"], question: msg`What happens in an emergency?`, answer: msg`A clinician may open a closed chart for a short time, with a reason. It is written down first, the patient is told, and somebody reviews it.` },
  { id: "revoke", who: ["patient"], question: msg`How fast does it work when I take an access back?`, answer: msg`From the next block on, within about a second, everywhere. What somebody has read already cannot be unread.` },
  { id: "wrong", who: ["patient"], question: msg`Something in my record is wrong. What now?`, answer: msg`Open the entry and say what is wrong. Your words stand beside it, for everybody who reads it; whoever wrote it can then correct it.` },
  { id: "lost", who: ["patient", "clinician", "administrator"], question: msg`I lost my phone. What now?`, answer: msg`Two of three bring you back: your printed recovery code, your guardian, your house. The old passkey ends with that.` },
  { id: "offline", who: ALL, question: msg`Does this work without a network?`, answer: msg`The application opens, and the proof page checks files. Reading the record needs the house: it writes down each look before it shows anything.` },
  { id: "stale", who: ALL, question: msg`What is a stale node?`, answer: msg`One that has heard nothing new from the others for a while. It says so. What it shows is true as of then, and it catches up by itself.` },
  { id: "withheld", who: ["clinician"], question: msg`Is something withheld from me?`, answer: msg`A patient may keep things from some people. What is withheld is as if it were not there; a complete picture can be asked of the patient, or, in an emergency, opened with a reason.` },
  { id: "proof", who: ALL, question: msg`What exactly is proved?`, answer: msg`That an entry is the one that was sealed then, that none of the chart is missing up to the newest checkpoint, and that the ledger only went on since your device last looked. Not proved: that what was written was true, and that nobody photographed a screen.` },
];
