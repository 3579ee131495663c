import { Plural, Trans, useLingui } from "@lingui/react/macro";
import type { DiagnosticReport, Encounter, FhirResource, Observation } from "fhir/r4";
import { type ReactElement, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { sayDosage } from "../../lib/dosage.ts";
import { findSource, isPatientStated, joinWords, sayConcepts, sayDate, sayKind, sayLimit, sayObservation, sayStatus, statusOf } from "../../lib/words.ts";
import { DRAWINGS } from "./kinds.ts";
import type { Moment } from "./moments.ts";
import { EntryButton } from "./opening.tsx";
import { storedMs } from "./sealing.ts";
import { visitOf } from "./sources.ts";
import { sayTest } from "./tests.ts";
import { titleOf } from "./titles.ts";

const VALUES_SHOWN = 3;

interface LineProps {
  readonly moment: Moment;
  readonly visits: ReadonlyMap<string, Encounter>;
  /** The medicines that entries refer to, by reference. */
  readonly names: ReadonlyMap<string, string>;
  /** What was stored later than this is in no block of the ledger yet. */
  readonly newestBlockMs: number;
}

/** One line of the timeline: what, when, where from; a tap opens it. Values taken together open as a list. */
export function MomentLine({ moment, visits, names, newestBlockMs }: LineProps): ReactElement {
  const { entry, values, group } = moment;
  const isPending = storedMs(entry) > newestBlockMs;
  const isAlone = values.length <= 1 || group === "report";
  const foot = <Foot entry={entry} isAlone={isAlone} visits={visits} isPending={isPending} />;
  return (
    <li className="moment">
      <span className="drawing"><Icon name={DRAWINGS[entry.resourceType] ?? "record"} /></span>
      <div>
        {values.length === 0 || (values.length === 1 && group !== "report") ? (
          <EntryButton reference={`${entry.resourceType}/${entry.id}`}>
            <Head date={moment.date} kind={sayKind(entry.resourceType)} title={titleOf(entry, names)} />
            <span className="detail">{summarise(entry)}</span>
          </EntryButton>
        ) : (
          <Values moment={moment} />
        )}
        {foot}
      </div>
    </li>
  );
}

function Head({ date, kind, title }: { readonly date: string; readonly kind: string; readonly title: string }): ReactElement {
  return (
    <>
      <span className="soft small">{joinWords([sayDate(date), kind], " · ")}</span>
      <span className="title">{title}</span>
    </>
  );
}

function Foot({ entry, isAlone, visits, isPending }: { readonly entry: FhirResource; readonly isAlone: boolean; readonly visits: ReadonlyMap<string, Encounter>; readonly isPending: boolean }): ReactElement {
  const { who, where, isPatient } = findSource(entry, undefined, visits.get(visitOf(entry)));
  const from = joinWords([who, where], " · ");
  const isWrong = isAlone && statusOf(entry) === "entered-in-error";
  return (
    <p className="from soft small">
      {isPatient || isPatientStated(entry) ? <span className="tag"><Trans>Added by you</Trans></span> : from === "" ? <Trans>The entry does not say who made it</Trans> : <Trans>From {from}</Trans>}
      {isWrong ? <span className="tag bad">{sayStatus("entered-in-error")}</span> : null}
      {isPending ? <span className="tag warn"><Trans>Not yet sealed in the ledger</Trans></span> : null}
    </p>
  );
}

function isMistake(one: Observation): boolean {
  return statusOf(one) === "entered-in-error";
}

/** Values that were taken together: the first in a line, all on demand. One that was entered by mistake is said to be, and tells nothing of the others. */
function Values({ moment }: { readonly moment: Moment }): ReactElement {
  const { t } = useLingui();
  const [isOpen, setOpen] = useState(false);
  const { group, values, entry } = moment;
  const names = { single: "", report: titleOf(entry), "vital-signs": t`Vital signs`, laboratory: t`Laboratory values`, answers: t`Questions and answers` };
  const kind = group === "report" ? sayKind("DiagnosticReport") : "";
  const valid = values.filter((one) => !isMistake(one));
  const said = valid.slice(0, VALUES_SHOWN).map((one) => joinWords([sayTest(one.code), sayObservation(one)], " "));
  const more = valid.length - said.length;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="entry">
        <Head date={moment.date} kind={kind} title={names[group]} />
        <span className="detail">{said.join(" · ")}{more > 0 ? <> · <Plural value={more} one="# more" other="# more" /></> : null}</span>
      </summary>
      {isOpen ? <ul className="plain values">
        {group === "report" ? <li><EntryButton reference={`${entry.resourceType}/${entry.id}`}><Trans>The report itself</Trans></EntryButton></li> : null}
        {values.map((one) => (
          <li key={one.id}>
            <EntryButton reference={`Observation/${one.id}`}><span>{sayTest(one.code)}</span> <strong>{sayObservation(one)}</strong>{isMistake(one) ? <> <span className="tag bad">{sayStatus("entered-in-error")}</span></> : null}</EntryButton>
          </li>
        ))}
      </ul> : null}
    </details>
  );
}

/** The line's second half: the value, the dose, the reason, the status. */
function summarise(entry: FhirResource): string {
  const status = statusOf(entry) === "entered-in-error" ? "" : sayStatus(statusOf(entry));
  switch (entry.resourceType) {
    case "Observation":
      return joinWords([shorten(sayObservation(entry as Observation)), status === "" ? "" : sayLimit(entry)], " · ");
    case "MedicationRequest":
      return joinWords([sayLimit(entry), sayDosage(entry.dosageInstruction), status], " · ");
    case "MedicationStatement":
      return joinWords([sayDosage(entry.dosage), status], " · ");
    case "Encounter":
      return sayConcepts(entry.reasonCode);
    case "Communication":
      return shorten(joinWords((entry.payload ?? []).map((one) => one.contentString)));
    case "DiagnosticReport":
      return joinWords([status === "" ? "" : sayLimit(entry), shorten((entry as DiagnosticReport).conclusion ?? "")], " · ");
    case "DocumentReference":
      return shorten(entry.description ?? "");
    default:
      return status;
  }
}

const LETTERS_MOST = 160;

function shorten(text: string): string {
  return text.length > LETTERS_MOST ? `${text.slice(0, LETTERS_MOST).trimEnd()}…` : text;
}
