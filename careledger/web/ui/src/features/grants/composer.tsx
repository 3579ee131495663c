import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type ReactElement, useState } from "react";
import { usePresent } from "../../lib/context.ts";
import { KINDS, PURPOSES, RECORDS } from "../../lib/directive_words.ts";
import type { Coding, Terms } from "../../lib/directives.ts";
import { Changes } from "./change.tsx";
import { Choosing, type Whom } from "./choosing.tsx";
import { dateOf, dayOf, type Decision, readCoding, todayOf } from "./decisions.ts";
import { callerOf, compare, isPeriod } from "./effects.ts";
import { Signing } from "./signing-view.tsx";
import { purposesOf, recordsOf } from "./words.tsx";

/** What is being decided, as the form holds it. */
export interface Form {
  readonly effect: "permit" | "deny";
  readonly whom: Whom | undefined;
  readonly types: readonly string[];
  readonly categories: readonly Coding[];
  readonly purposes: readonly string[];
  readonly from: string;
  readonly until: string;
  readonly withProofs: boolean;
  readonly supersedes: string;
}

const TYPES = ["AllergyIntolerance", "Condition", "MedicationRequest", "Observation", "DiagnosticReport", "DocumentReference", "Encounter", "Procedure", "Immunization", "CarePlan", "ServiceRequest", "Appointment", "FamilyMemberHistory", "Claim", "Patient"] as const;
const USUAL = ["TREAT", "HPAYMT", "HOPERAT", "HRESCH"] as const;
const HOUSE = ["TREAT", "HPAYMT", "HOPERAT"] as const;
const YEAR = 365;

/** An empty form: a year of reading for care, or a refusal of everything. */
export function begin(effect: Form["effect"], whom: Whom | undefined, nowMs: number): Form {
  const today = todayOf(nowMs);
  const purposes = effect === "permit" ? ["TREAT"] : [];
  return { effect, whom, types: [], categories: [], purposes, from: dateOf(today), until: dateOf(today + YEAR), withProofs: false, supersedes: "" };
}

/** A form that begins as a decision stands, to replace it. */
export function replace(one: Decision, whom: Whom, nowMs: number): Form {
  const today = todayOf(nowMs);
  const from = dayOf(one.from) < today ? dateOf(today) : one.from;
  return { effect: one.effect, whom, types: one.types, categories: one.categories.map(readCoding), purposes: one.purposes, from, until: one.until, withProofs: one.actions.includes("proof"), supersedes: one.id };
}

/** The terms of a complete form; undefined while something is missing. */
export function termsOf(form: Form, nowMs: number): Terms | undefined {
  const { whom, effect, purposes, types, categories, supersedes } = form;
  if (whom === undefined || (effect === "permit" && purposes.length === 0) || !isPeriod(form.from, form.until, todayOf(nowMs))) return undefined;
  const grantees = [{ kind: whom.kind, value: whom.value }];
  const actions = form.withProofs ? (["access", "proof"] as const) : (["access"] as const);
  return { effect, grantees, actions, purposes, types, categories, labels: [], from_day: dayOf(form.from), until_day: dayOf(form.until), supersedes };
}

interface Props {
  readonly form: Form;
  readonly onForm: (form: Form) => void;
  readonly all: readonly Decision[];
  readonly patient: string;
  readonly house: string;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

/** A new decision: whom, what, what for, how long; what it would change; then the lines that are signed. */
export function Composer({ form, onForm, all, patient, house, onDone, onClose }: Props): ReactElement {
  const { session } = usePresent();
  const [terms, setTerms] = useState<Terms>();
  const ready = termsOf(form, Date.now());
  const set = (part: Partial<Form>): void => {
    setTerms(undefined);
    onForm({ ...form, ...part });
  };
  return (
    <section className="card stack composer" aria-labelledby="composer">
      <h2 id="composer">{form.supersedes === "" ? <Trans>A new decision</Trans> : <Trans>Change a decision</Trans>}</h2>
      <Effect form={form} onForm={set} />
      <Choosing patient={patient} house={house} whom={form.whom} onWhom={(whom) => set({ whom })} />
      <What form={form} onForm={set} />
      <For form={form} onForm={set} />
      <Period form={form} onForm={set} />
      {ready === undefined || form.whom === undefined ? <p className="soft"><Trans>Say whom it is about, what for, and until when: then you see what would change.</Trans></p> : (
        <Changes who={form.whom.name} changes={compare(all, ready, callerOf(form.whom, house), HOUSE)} />
      )}
      {terms === undefined ? (
        <p className="row">
          <Button disabled={ready === undefined} onClick={() => setTerms(ready)}><Trans>Show what I would sign</Trans></Button>
          <Button variant="subtle" onClick={onClose}><Trans>Leave it</Trans></Button>
        </p>
      ) : <Signing key={JSON.stringify(terms)} terms={terms} patient={patient} name={session.name} onDone={onDone} onClose={onClose} />}
    </section>
  );
}

interface PartProps {
  readonly form: Form;
  readonly onForm: (part: Partial<Form>) => void;
}

function Effect({ form, onForm }: PartProps): ReactElement {
  const choose = (effect: Form["effect"]): void => onForm({ effect, purposes: effect === "permit" && form.purposes.length === 0 ? ["TREAT"] : form.purposes });
  return (
    <fieldset className="plain">
      <legend><Trans>I want to</Trans></legend>
      <label className="choice"><input type="radio" name="effect" checked={form.effect === "permit"} onChange={() => choose("permit")} /> <Trans>allow somebody to see</Trans></label>
      <label className="choice"><input type="radio" name="effect" checked={form.effect === "deny"} onChange={() => choose("deny")} /> <Trans>forbid somebody to see</Trans></label>
    </fieldset>
  );
}

function What({ form, onForm }: PartProps): ReactElement {
  const toggle = (type: string): void => onForm({ types: form.types.includes(type) ? form.types.filter((one) => one !== type) : [...form.types, type] });
  const isOf = (code: string): boolean => form.categories.some((one) => one.code === code);
  const narrow = (code: string): void => onForm({ categories: isOf(code) ? form.categories.filter((one) => one.code !== code) : [...form.categories, { code, system: "" }] });
  return (
    <details className="choices">
      <summary><span className="soft"><Trans>What</Trans>: </span><span className="strong">{recordsOf(form.types, form.categories)}</span></summary>
      <fieldset className="plain many">
        <legend><Trans>Only these kinds of entries (none chosen: everything)</Trans></legend>
        {TYPES.map((type) => <label key={type} className="choice"><input type="checkbox" checked={form.types.includes(type)} onChange={() => toggle(type)} /> {recordsOf(Object.hasOwn(RECORDS, type) ? [type] : [], [])}</label>)}
      </fieldset>
      <fieldset className="plain many">
        <legend><Trans>And of these only (none chosen: all)</Trans></legend>
        {Object.keys(KINDS).map((code) => <label key={code} className="choice"><input type="checkbox" checked={isOf(code)} onChange={() => narrow(code)} /> <KindName code={code} /></label>)}
      </fieldset>
      <label className="choice"><input type="checkbox" checked={form.withProofs} onChange={() => onForm({ withProofs: !form.withProofs })} /> <Trans>proofs (receipts) of these entries too</Trans></label>
    </details>
  );
}

function KindName({ code }: { readonly code: string }): ReactElement {
  const whole = recordsOf([], [{ code, system: "" }]);
  return <>{whole.slice(whole.indexOf("(") + 1, -1)}</>;
}

function For({ form, onForm }: PartProps): ReactElement {
  const toggle = (code: string): void => onForm({ purposes: form.purposes.includes(code) ? form.purposes.filter((one) => one !== code) : [...form.purposes, code] });
  const rare = Object.keys(PURPOSES).filter((code) => !USUAL.some((one) => one === code));
  const box = (code: string): ReactElement => <label key={code} className="choice"><input type="checkbox" checked={form.purposes.includes(code)} onChange={() => toggle(code)} /> {purposesOf([code])}</label>;
  return (
    <details className="choices">
      <summary><span className="soft"><Trans>What for</Trans>: </span><span className="strong">{purposesOf(form.purposes)}</span></summary>
      <fieldset className="plain many">
        <legend>{form.effect === "permit" ? <Trans>At least one</Trans> : <Trans>None chosen: whatever for</Trans>}</legend>
        {USUAL.map(box)}
        {rare.map(box)}
      </fieldset>
    </details>
  );
}

const SPANS: readonly (readonly [days: number, years: number, months: number])[] = [[30, 0, 1], [91, 0, 3], [YEAR, 1, 0], [5 * YEAR, 5, 0]];

function Period({ form, onForm }: PartProps): ReactElement {
  const { t } = useLingui();
  const say = (years: number, months: number): string => (years > 0 ? (years === 1 ? t`1 year` : t`${years} years`) : months === 1 ? t`1 month` : t`${months} months`);
  const start = dayOf(form.from);
  return (
    <div className="stack">
      <div className="row">
        <label className="field"><Trans>From</Trans><input type="date" required value={form.from} onChange={(event) => onForm({ from: event.target.value })} /></label>
        <label className="field"><Trans>Until (this day included)</Trans><input type="date" required value={form.until} onChange={(event) => onForm({ until: event.target.value })} /></label>
      </div>
      <p className="row">{Number.isNaN(start) ? null : SPANS.map(([days, years, months]) => <button key={days} type="button" className="quiet-button bordered" onClick={() => onForm({ until: dateOf(start + days) })}>{say(years, months)}</button>)}</p>
    </div>
  );
}
