import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { Kind } from "../../lib/session.ts";

/** One step of a tour: what it is good for, and where it is done. */
export interface Step {
  readonly id: string;
  readonly title: MessageDescriptor;
  readonly text: MessageDescriptor;
  readonly action: MessageDescriptor;
  readonly to: string;
}

/** The tours: the first useful act of each persona in under three minutes. */
export const STEPS: Readonly<Record<Kind | "anybody", readonly Step[]>> = {
  patient: [
    { id: "record", title: msg`Read your record`, text: msg`Everything that was written about you, newest first, in plain words, with who wrote it.`, action: msg`Open my record`, to: "/app/record" },
    { id: "looked", title: msg`See who looked`, text: msg`Each look is written down before anything is shown. You will find your own there too.`, action: msg`See who looked`, to: "/app/looked" },
    { id: "proof", title: msg`Check that nothing is missing`, text: msg`Your browser counts and compares every entry with the ledger by itself. Green means whole and unaltered.`, action: msg`Check my record`, to: "/app/proof" },
    { id: "grants", title: msg`Decide who sees what`, text: msg`Allow or refuse, to one person or a house, for a time. You see what would change before you sign.`, action: msg`Decide`, to: "/app/grants" },
    { id: "kit", title: msg`Rehearse the way back`, text: msg`If you lose your device, two of three bring you back: your printed code, your guardian, your house. Print the code today.`, action: msg`Print my recovery code`, to: "/kit" },
  ],
  clinician: [
    { id: "find", title: msg`Find a patient`, text: msg`Type a name, or press Ctrl K anywhere. Looking somebody up is written down, as paper never could.`, action: msg`Patients`, to: "/app/patients" },
    { id: "chart", title: msg`Read the chart on one page`, text: msg`Problems, medications, allergies, results and notes. A line opens with its origin and its proof.`, action: msg`Open the chart`, to: "/app/chart" },
    { id: "change", title: msg`Change a medication in two clicks`, text: msg`Choose it, choose what changes. The former version stays readable for ever.`, action: msg`To the patients`, to: "/app/patients" },
    { id: "apps", title: msg`Start a SMART app with the patient in hand`, text: msg`Programs that your organisation knows open with the chart's context.`, action: msg`Programs`, to: "/launcher" },
  ],
  administrator: [
    { id: "desk", title: msg`Invite somebody`, text: msg`An invitation is signed by the organisation; a second administrator approves it.`, action: msg`Open the desk`, to: "/desk" },
    { id: "kit", title: msg`Rehearse the way back`, text: msg`Print your recovery code, and try it once.`, action: msg`Print my recovery code`, to: "/kit" },
    { id: "network", title: msg`See how the ledger is`, text: msg`How far seals come, who signs, who watches.`, action: msg`Open the state`, to: "/app/network" },
  ],
  anybody: [
    { id: "proof", title: msg`Check a file that somebody gave you`, text: msg`A receipt or a whole chart with its proofs; your browser checks it without asking anybody.`, action: msg`Check a file`, to: "/app/proof" },
    { id: "ledger", title: msg`Read the ledger`, text: msg`The seals of all records of this network, and nothing about anybody.`, action: msg`Open the ledger`, to: "/explorer" },
    { id: "in", title: msg`Come in`, text: msg`With the invitation of your house you make a passkey; there is no password.`, action: msg`Use my invitation`, to: "/enrol" },
  ],
};
