import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { MedicationRequest } from "fhir/r4";
import { type FormEvent, type ReactElement, type ReactNode, useState } from "react";
import { Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { sayDosage } from "../../lib/dosage.ts";
import type { Node } from "../../lib/node.ts";
import { Refusal, Unreachable } from "../../lib/refusal.ts";
import { type Begun, nameMedicine } from "./medicines.tsx";
import { begin, changeDose, DAYS, type Dose, EMPTY_DOSE, fromDosage, type Hand, isDose, isSameDose, renew, stop, STOP_CODES, type StopCode } from "./prescribing.ts";
import type { Chart } from "./reading.ts";
import { Sheet } from "./sheet.tsx";

interface Props {
  readonly begun: Begun;
  readonly node: Node;
  readonly patient: string;
  /** The patient's allergies in words, "" if none is on record. */
  readonly allergies: string;
  readonly names: ReadonlyMap<string, string>;
  readonly onClose: () => void;
}

/** The one form for a change of a medicine. What is signed here stands in the chart at once, or is refused with why. */
export function Prescribe({ begun, node, patient, allergies, names, onClose }: Props): ReactElement {
  const { t } = useLingui();
  const { session } = usePresent();
  const write = useWrite(node, patient, onClose);
  const { act, request } = begun;
  const name = request === undefined ? "" : nameMedicine(request, names);
  const hand = (why: string): Hand => ({ who: { reference: session.fhirUser, display: session.name }, now: new Date(), why: why.trim() });
  const parts = { isBusy: write.isPending, onSend: write.mutate };
  const title = act === "new" ? t`New medicine` : act === "stop" ? t`Stop ${name}` : act === "dose" ? t`Dose of ${name}` : t`Renew ${name}`;
  const isConflict = write.error instanceof Refusal && (write.error.status === 412 || write.error.status === 409);
  return (
    <Sheet title={title} onClose={onClose}>
      {allergies === "" ? null : <p className="notice bad"><strong><Trans>Allergies:</Trans></strong> {allergies}</p>}
      {request === undefined ? null : <p className="soft small"><Trans>Now:</Trans> {sayDosage(request.dosageInstruction)}</p>}
      {act === "stop" && request !== undefined ? <Stop {...parts} toNext={(code, why) => stop(request, code, hand(why))} /> : null}
      {act === "dose" && request !== undefined ? <Change {...parts} first={fromDosage(request.dosageInstruction)} toNext={(dose, why) => changeDose(request, dose, hand(why))} /> : null}
      {act === "renew" && request !== undefined ? <Renew {...parts} toNext={(days, why) => renew(request, days, hand(why))} /> : null}
      {act === "new" ? <New {...parts} toNext={(medicine, dose, days, why) => begin(patient, medicine, dose, days, hand(why))} /> : null}
      {isConflict ? (
        <div className="notice warn" role="alert">
          <p><Trans>Somebody else changed this prescription while you had it open. Nothing of yours was written. The chart now shows theirs: look at it, then decide again.</Trans></p>
          <Button variant="light" onClick={onClose}><Trans>Show me</Trans></Button>
        </div>
      ) : write.isError ? <Problem error={write.error} /> : null}
      {write.error instanceof Unreachable ? <p className="notice warn"><Trans>Whether it was written is not known: look at the chart before you try again.</Trans></p> : null}
      <p className="soft small"><Trans>No check for interactions is made here. Your name and the time are written with it.</Trans></p>
    </Sheet>
  );
}

/** Writes a version or a new order; the chart shows it before the next look at the node. */
function useWrite(node: Node, patient: string, onDone: () => void) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (next: MedicationRequest) => (next.id === undefined ? await node.create(next) : await node.update(next)),
    onSuccess: (written) => {
      queries.setQueriesData<Chart>({ queryKey: ["chart", patient, "page"] }, (chart) => (chart === undefined ? chart : show(chart, written)));
      onDone();
      void queries.invalidateQueries({ queryKey: ["chart", patient] });
    },
    onError: (error) => {
      if (error instanceof Unreachable || (error instanceof Refusal && (error.status === 412 || error.status === 409))) void queries.invalidateQueries({ queryKey: ["chart", patient] });
    },
  });
}

/** The chart with that prescription as it is now: among the current ones, or gone from them. */
export function show(chart: Chart, written: MedicationRequest): Chart {
  const { medicines } = chart;
  const isCurrent = ["active", "on-hold", "draft", "unknown"].includes(written.status);
  const isKnown = medicines.resources.some((one) => one.id === written.id);
  const resources = isKnown
    ? medicines.resources.flatMap((one) => (one.id !== written.id ? [one] : isCurrent ? [written] : []))
    : isCurrent ? [written, ...medicines.resources] : medicines.resources;
  const total = medicines.total === undefined ? undefined : medicines.total + resources.length - medicines.resources.length;
  return { ...chart, medicines: { ...medicines, resources, total } };
}

interface Parts {
  readonly isBusy: boolean;
  readonly onSend: (next: MedicationRequest) => void;
}

/** `blocked` says why the button does nothing yet; "" when it does. */
function Form({ children, isBusy, blocked, label, isGrave = false, onSend }: { readonly children: ReactNode; readonly isBusy: boolean; readonly blocked: string; readonly label: string; readonly isGrave?: boolean; readonly onSend: () => void }): ReactElement {
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (blocked === "" && !isBusy) onSend();
  };
  return (
    <form onSubmit={submit}>
      {children}
      <p className="soft small blocked" role="status">{blocked}</p>
      <Button type="submit" {...(isGrave ? { color: "red" } : {})} disabled={blocked !== ""} loading={isBusy}>{label}</Button>
    </form>
  );
}

function Why({ value, onChange, label }: { readonly value: string; readonly onChange: (text: string) => void; readonly label: string }): ReactElement {
  return <label className="field">{label}<input value={value} maxLength={500} onChange={(event) => onChange(event.target.value)} /></label>;
}

function useStopWords(): Readonly<Record<StopCode, string>> {
  const { t } = useLingui();
  return {
    sintol: t`Not tolerated`,
    altchoice: t`Something else is tried first`,
    clarif: t`Needs to be clarified`,
    drughigh: t`Level in the blood too high`,
    sddi: t`Interaction with another medicine`,
    preg: t`Pregnancy or breastfeeding`,
    surg: t`Operation planned`,
    salg: t`Allergy`,
  };
}

/** No reason is chosen beforehand but "no longer needed", which is no code of FHIR's. */
function Stop({ toNext, ...parts }: Parts & { readonly toNext: (code: StopCode | "", why: string) => MedicationRequest }): ReactElement {
  const { t } = useLingui();
  const words = useStopWords();
  const [code, setCode] = useState<StopCode | "">("");
  const [why, setWhy] = useState("");
  const told = why.trim() === "" ? (code === "" ? t`No longer needed` : words[code]) : why;
  return (
    <Form {...parts} blocked="" isGrave label={t`Stop it now`} onSend={() => parts.onSend(toNext(code, told))}>
      <label className="field"><Trans>Reason</Trans>
        <select className="first" value={code} onChange={(event) => setCode(STOP_CODES.find((one) => one === event.target.value) ?? "")}>
          <option value="">{t`No longer needed`}</option>
          {STOP_CODES.map((one) => <option key={one} value={one}>{words[one]}</option>)}
        </select>
      </label>
      <Why value={why} onChange={setWhy} label={t`In your words (may be empty)`} />
    </Form>
  );
}

function DoseFields({ dose, onChange, isFirst = false }: { readonly dose: Dose; readonly onChange: (dose: Dose) => void; readonly isFirst?: boolean }): ReactElement {
  return (
    <div className="fields">
      <label className="field"><Trans>Amount</Trans><input className={isFirst ? "first" : undefined} inputMode="decimal" value={dose.amount} maxLength={10} onChange={(event) => onChange({ ...dose, amount: event.target.value })} /></label>
      <label className="field"><Trans>Unit</Trans><input value={dose.unit} maxLength={40} onChange={(event) => onChange({ ...dose, unit: event.target.value })} /></label>
      <label className="field"><Trans>Times a day</Trans><input inputMode="numeric" value={dose.times} maxLength={3} onChange={(event) => onChange({ ...dose, times: event.target.value })} /></label>
      <label className="row wide"><input type="checkbox" checked={dose.isAsNeeded} onChange={(event) => onChange({ ...dose, isAsNeeded: event.target.checked })} /> <Trans>as needed</Trans></label>
      <label className="field wide"><Trans>Instructions in words</Trans><input value={dose.words} maxLength={500} onChange={(event) => onChange({ ...dose, words: event.target.value })} /></label>
    </div>
  );
}

/** What the dose lacks yet, in words. */
function useBlocked(dose: Dose): string {
  const { t } = useLingui();
  if (isDose(dose)) return "";
  return dose.amount === "" && dose.words.trim() === "" ? t`Give an amount, or instructions in words.` : t`Amount and times a day are numbers above 0.`;
}

/** A dose that stays what it is writes nothing. */
export function Change({ first, toNext, ...parts }: Parts & { readonly first: Dose; readonly toNext: (dose: Dose, why: string) => MedicationRequest }): ReactElement {
  const { t } = useLingui();
  const [dose, setDose] = useState(first);
  const [why, setWhy] = useState("");
  const isNumberless = (one: Dose): boolean => one.amount === "" && one.times === "";
  const isWords = isNumberless(first) && isNumberless(dose) && first.words !== "" && dose.words !== "";
  const blocked = useBlocked(dose) || (isSameDose(first, dose) ? t`This is the dose as it stands: there is nothing to change yet.` : "");
  return (
    <Form {...parts} blocked={blocked} label={t`Change the dose`} onSend={() => parts.onSend(toNext(dose, why))}>
      {isWords ? (
        <>
          <label className="field"><Trans>The dose in words</Trans><textarea className="first" rows={3} value={dose.words} maxLength={2000} onChange={(event) => setDose({ ...dose, words: event.target.value })} /></label>
          <p className="soft small"><Trans>This dose says more than fields for an amount and times a day hold. What stands here afterwards holds, and nothing else. Empty it to write numbers.</Trans></p>
        </>
      ) : <DoseFields dose={dose} onChange={setDose} isFirst />}
      <Why value={why} onChange={setWhy} label={t`Why (may be empty)`} />
    </Form>
  );
}

function Days({ days, onChange, isFirst = false }: { readonly days: number; readonly onChange: (days: number) => void; readonly isFirst?: boolean }): ReactElement {
  const { t } = useLingui();
  return (
    <label className="field"><Trans>For how long</Trans>
      <select className={isFirst ? "first" : undefined} value={days} onChange={(event) => onChange(Number(event.target.value))}>
        {[7, 14, 30, 90, 180, 365].map((one) => <option key={one} value={one}>{t`${one} days`}</option>)}
      </select>
    </label>
  );
}

function Renew({ toNext, ...parts }: Parts & { readonly toNext: (days: number, why: string) => MedicationRequest }): ReactElement {
  const { t } = useLingui();
  const [days, setDays] = useState(DAYS);
  const [why, setWhy] = useState("");
  return (
    <Form {...parts} blocked="" label={t`Renew`} onSend={() => parts.onSend(toNext(days, why))}>
      <Days days={days} onChange={setDays} isFirst />
      <Why value={why} onChange={setWhy} label={t`Note (may be empty)`} />
    </Form>
  );
}

function New({ toNext, ...parts }: Parts & { readonly toNext: (name: string, dose: Dose, days: number, why: string) => MedicationRequest }): ReactElement {
  const { t } = useLingui();
  const [name, setName] = useState("");
  const [dose, setDose] = useState(EMPTY_DOSE);
  const [days, setDays] = useState(DAYS);
  const [why, setWhy] = useState("");
  const blocked = useBlocked(dose);
  return (
    <Form {...parts} blocked={name.trim() === "" ? t`Name the medicine.` : blocked} label={t`Prescribe`} onSend={() => parts.onSend(toNext(name.trim(), dose, days, why))}>
      <label className="field"><Trans>Medicine, with its strength</Trans><input className="first" value={name} maxLength={200} onChange={(event) => setName(event.target.value)} /></label>
      <DoseFields dose={dose} onChange={setDose} />
      <Days days={days} onChange={setDays} />
      <Why value={why} onChange={setWhy} label={t`What for (may be empty)`} />
    </Form>
  );
}
