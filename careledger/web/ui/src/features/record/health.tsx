import { msg } from "@lingui/core/macro";
import type { MessageDescriptor } from "@lingui/core";
import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { FhirResource } from "fhir/r4";
import { type ReactElement, useDeferredValue, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { useLive } from "../../lib/live.ts";
import type { Page as Found, Search } from "../../lib/node.ts";
import { isPatientStated, nameMedicines, statusOf } from "../../lib/words.ts";
import { useFurther } from "./further.ts";
import { OpenEntry } from "./opening.tsx";
import { visitOf } from "./sources.ts";
import { HealthRow } from "./row.tsx";
import "./record.css";
import "./health.css";

/** One part of somebody's health: what holds now, and what is over (fetched when somebody wants it). */
interface Part {
  readonly key: string;
  readonly icon: string;
  readonly name: MessageDescriptor;
  readonly empty: MessageDescriptor;
  readonly type: string;
  readonly now: readonly (readonly [string, string])[];
  readonly past?: { readonly name: MessageDescriptor; readonly parameters: readonly (readonly [string, string])[] };
}

const NOT_OVER = "active,on-hold,draft,unknown,intended";
const OVER = "completed,stopped,cancelled,entered-in-error,not-taken";
/** A problem often names its visit alone: who diagnosed it stands there. */
const WITH_VISIT = ["_include", "Condition:encounter"] as const;
/** A prescription may name its medicine by a reference alone. */
const WITH_MEDICINE = ["_include", "MedicationRequest:medication"] as const;
const PARTS: readonly Part[] = [
  {
    key: "allergies", icon: "warning", name: msg`Allergies`, type: "AllergyIntolerance",
    empty: msg`No allergy is on record. That is not the same as having none.`,
    now: [["_sort", "-date"], ["_count", "30"]],
  },
  {
    key: "medicines", icon: "pill", name: msg`Medicines now`, type: "MedicationRequest",
    empty: msg`No medicine is prescribed at present.`,
    now: [["status", NOT_OVER], ["_sort", "-authoredon"], ["_count", "30"], WITH_MEDICINE],
    past: { name: msg`Earlier prescriptions`, parameters: [["status", OVER], ["_sort", "-authoredon"], ["_count", "20"], WITH_MEDICINE] },
  },
  {
    key: "own-medicines", icon: "pill", name: msg`Medicines you say you take`, type: "MedicationStatement",
    empty: msg`You have added no medicine without a prescription.`,
    now: [["status", NOT_OVER], ["_sort", "-effective"], ["_count", "30"]],
    past: { name: msg`Earlier statements`, parameters: [["status", OVER], ["_sort", "-effective"], ["_count", "20"]] },
  },
  {
    key: "problems", icon: "heart", name: msg`Problems`, type: "Condition",
    empty: msg`No present problem is on record.`,
    now: [["clinical-status", "active,recurrence,relapse"], ["_sort", "-onset-date"], ["_count", "30"], WITH_VISIT],
    past: { name: msg`Problems that are over`, parameters: [["clinical-status", "inactive,remission,resolved"], ["_sort", "-onset-date"], ["_count", "20"], WITH_VISIT] },
  },
  {
    key: "unsorted-problems", icon: "heart", name: msg`Problems without a status`, type: "Condition",
    empty: msg`No present problem is on record.`,
    now: [["clinical-status:missing", "true"], ["_sort", "-onset-date"], ["_count", "30"], WITH_VISIT],
  },
  {
    key: "vaccines", icon: "syringe", name: msg`Vaccinations`, type: "Immunization",
    empty: msg`No vaccination is on record here. You may have had some elsewhere.`,
    now: [["_sort", "-date"], ["_count", "8"]],
  },
  {
    key: "visits", icon: "house", name: msg`Visits`, type: "Encounter",
    empty: msg`No visit is on record.`,
    now: [["_sort", "-date"], ["_count", "6"], ["_elements", "status,class,type,period,serviceProvider,participant,location,reasonCode"]],
  },
  {
    key: "documents", icon: "record", name: msg`Documents`, type: "DocumentReference",
    empty: msg`No document is on record.`,
    now: [["_sort", "-date"], ["_count", "6"], ["_elements", "status,docStatus,type,category,date,author,custodian,description"]],
  },
];

/** Only shown when there is something in them. */
const IF_ANY: readonly string[] = ["own-medicines", "unsorted-problems"];

function searchOf(part: Part, patient: string, parameters: readonly (readonly [string, string])[]): Search {
  return { type: part.type, parameters: [["patient", patient], ...parameters] };
}

/** Somebody's health at a glance: problems, medicines, allergies, vaccinations, visits, documents, in plain words. */
export function Page(): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  useLive(patient);
  const found = useQuery({ queryKey: ["chart", patient, "health"], queryFn: () => node.searches(PARTS.map((part) => searchOf(part, patient, part.now))) });
  const data = useDeferredValue(found.data); // long lists are drawn in slices
  return (
    <section className="record wide">
      <h1><Trans>My health</Trans></h1>
      {data === undefined && !found.isError ? <Loading /> : null}
      {found.isError ? <Problem error={found.error} onRetry={() => void found.refetch()} /> : null}
      {data === undefined ? null : (
        <div className="cards">
          {PARTS.map((part, at) => {
            const first = data[at];
            if (first === undefined || (IF_ANY.includes(part.key) && first.resources.length === 0)) return null;
            return <Card key={part.key} part={part} first={first} patient={patient} />;
          })}
        </div>
      )}
      <OpenEntry />
    </section>
  );
}

function Card({ part, first, patient }: { readonly part: Part; readonly first: Found<FhirResource>; readonly patient: string }): ReactElement {
  const { i18n } = useLingui();
  return (
    <section className="card" aria-labelledby={`part-${part.key}`}>
      <h2 id={`part-${part.key}`}><Icon name={part.icon} /> {i18n._(part.name)}</h2>
      <Rows first={first} empty={part.empty} />
      {part.past === undefined ? null : <Past part={part} name={part.past.name} search={searchOf(part, patient, part.past.parameters)} patient={patient} />}
    </section>
  );
}

function Rows({ first, empty }: { readonly first: Found<FhirResource>; readonly empty: MessageDescriptor }): ReactElement {
  const { i18n } = useLingui();
  const list = useFurther(first);
  const shown = list.resources.filter((one) => statusOf(one) !== "entered-in-error");
  const mistaken = list.resources.filter((one) => statusOf(one) === "entered-in-error" && !isPatientStated(one));
  const names = nameMedicines(list.visits.values());
  return (
    <>
      {shown.length === 0 && !list.hasMore ? <p className="soft">{i18n._(empty)}</p> : null}
      <ul className="plain rows">{[...shown, ...mistaken].map((one) => <HealthRow key={one.id} entry={one} visit={list.visits.get(visitOf(one))} names={names} />)}</ul>
      {list.error === undefined ? null : <Problem error={list.error} onRetry={list.read} />}
      {list.hasMore ? <Button variant="subtle" loading={list.isReading} onClick={list.read}><Trans>Show more</Trans></Button> : null}
    </>
  );
}

/** What is over: asked for when somebody opens it. */
function Past({ part, name, search, patient }: { readonly part: Part; readonly name: MessageDescriptor; readonly search: Search; readonly patient: string }): ReactElement {
  const { i18n } = useLingui();
  const { node } = usePresent();
  const [isOpen, setOpen] = useState(false);
  const found = useQuery({ queryKey: ["chart", patient, "health", part.key, "past"], queryFn: () => node.search<FhirResource>(search.type, search.parameters), enabled: isOpen });
  return (
    <details className="past" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{i18n._(name)}</summary>
      {isOpen && found.isPending ? <Loading /> : null}
      {found.isError ? <Problem error={found.error} onRetry={() => void found.refetch()} /> : null}
      {found.data === undefined ? null : <Rows first={found.data} empty={msg`Nothing earlier is on record.`} />}
    </details>
  );
}
