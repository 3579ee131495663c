import { Trans, useLingui } from "@lingui/react/macro";
import type { FhirResource } from "fhir/r4";
import type { ReactElement } from "react";
import { clip } from "../../lib/clip.ts";
import { sayDosage } from "../../lib/dosage.ts";
import { dateOf, findSource, isPatientStated, joinWords, sayConcepts, sayDate, sayDoubt, sayLimit, sayPeriod, sayStatus, statusOf } from "../../lib/words.ts";
import { worstOf } from "./facts.ts";
import { EntryButton } from "./opening.tsx";
import { titleOf } from "./titles.ts";

/** One entry in a list of somebody's health: what it is, since when, how it stands, whose word it is. A tap opens it. */
export function HealthRow({ entry, visit, names }: { readonly entry: FhirResource; readonly visit: FhirResource | undefined; readonly names?: ReadonlyMap<string, string> }): ReactElement {
  const { i18n } = useLingui();
  const status = statusOf(entry);
  const worst = entry.resourceType === "AllergyIntolerance" ? worstOf(entry) : undefined;
  const source = findSource(entry, undefined, visit);
  const from = joinWords([source.who, source.where], " · ");
  return (
    <li>
      <EntryButton reference={`${entry.resourceType}/${entry.id}`}>
        <span className="title">{titleOf(entry, names)}</span>
        <span className="detail">{joinWords([more(entry), when(entry), worst === undefined ? "" : i18n._(worst)], " · ")}</span>
        <span className="soft small">{from === "" ? null : <Trans>From {from}</Trans>}</span>
      </EntryButton>
      <div className="row">
        {isPatientStated(entry) ? <span className="tag"><Trans>Added by you</Trans></span> : null}
        {isPatientStated(entry) || sayDoubt(entry) === "" ? null : <span className="tag">{sayDoubt(entry)}</span>}
        {sayLimit(entry) === "" || status === "entered-in-error" ? null : <span className="tag">{sayLimit(entry)}</span>}
        {isPlain(entry.resourceType, status) ? null : <span className={status === "entered-in-error" ? "tag bad" : "tag"}>{sayStatus(status)}</span>}
      </div>
    </li>
  );
}

const EXPECTED: Readonly<Record<string, string>> = { Immunization: "completed", Encounter: "finished", DocumentReference: "current", AllergyIntolerance: "active", Condition: "active", MedicationRequest: "active", MedicationStatement: "active" };

/** Of what is as one would expect nothing is said. */
function isPlain(type: string, status: string): boolean {
  return status === "" || EXPECTED[type] === status;
}

function when(entry: FhirResource): string {
  if (entry.resourceType === "Encounter") return sayPeriod(entry.period);
  if (entry.resourceType === "Condition") return sayPeriod({ start: dateOf(entry), ...(entry.abatementDateTime === undefined ? {} : { end: entry.abatementDateTime }) });
  if (entry.resourceType === "MedicationStatement" && entry.effectivePeriod !== undefined) return sayPeriod(entry.effectivePeriod);
  return sayDate(dateOf(entry));
}

function more(entry: FhirResource): string {
  switch (entry.resourceType) {
    case "MedicationRequest":
      return sayDosage(entry.dosageInstruction);
    case "MedicationStatement":
      return sayDosage(entry.dosage);
    case "AllergyIntolerance":
      return joinWords((entry.reaction ?? []).map((one) => sayConcepts(one.manifestation)));
    case "Encounter":
      return sayConcepts(entry.reasonCode);
    case "DocumentReference":
      return clip(entry.description ?? "");
    default:
      return "";
  }
}
