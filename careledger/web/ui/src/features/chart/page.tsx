import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import type { FhirResource, Patient } from "fhir/r4";
import { lazy, type ReactElement, Suspense, useEffect, useState } from "react";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { useLive } from "../../lib/live.ts";
import type { Node } from "../../lib/node.ts";
import { toRow } from "../../lib/patients.ts";
import { joinWords, parseDate, sayConcept, sayDate } from "../../lib/words.ts";
import { AppsButton } from "./apps.tsx";
import { type Emergency, useEmergency } from "./emergency.ts";
import { Countdown, EmergencyButton, EmergencyForm } from "./emergency-form.tsx";
import { KeysHelp } from "./keys-help.tsx";
import { useKeys } from "./keys.ts";
import { Allergies, isNoneKnown, isStanding, Notes, Problems, Reports, Vaccines, Visits } from "./lists.tsx";
import { Medicines } from "./medicines.tsx";
import { rememberRecent, useOpenChart } from "./opening.ts";
import { sayAge, useSex } from "./person.ts";
import { type Chart, readChart } from "./reading.ts";
import { Others, Results, Vitals } from "./values.tsx";
import "./chart.css";

const Details = lazy(async () => ({ default: (await import("./details.tsx")).Details }));

/** The open chart on one page, or the way to one. */
export function Page(): ReactElement {
  const patient = useOpenChart();
  if (patient !== "") return <Opened key={patient} patient={patient} />;
  return <NoChart />;
}

function NoChart(): ReactElement {
  return (
    <>
      <div className="row apart"><h1><Trans>Chart</Trans></h1><KeysHelp /></div>
      <Empty><p><Trans>No chart is open.</Trans></p><p><Link to="/app/patients"><Trans>Choose a patient</Trans></Link></p></Empty>
    </>
  );
}

function Opened({ patient }: { readonly patient: string }): ReactElement {
  const present = usePresent();
  const emergency = useEmergency(patient);
  const node = emergency?.node ?? present.node;
  useForgetting(patient, emergency !== undefined);
  const read = useQuery({ queryKey: ["chart", patient, "page", emergency === undefined ? "" : "emergency"], queryFn: () => readChart(node, patient) });
  useLive(read.data?.patient === undefined ? "" : patient, ["records"], undefined, node); // a chart that is closed is not followed
  if (read.isPending) return <><h1><Trans>Chart</Trans></h1><Loading /></>;
  if (read.isError) return <><h1><Trans>Chart</Trans></h1><Problem error={read.error} onRetry={() => void read.refetch()} /></>;
  if (read.data.patient === undefined) return <Closed patient={patient} />;
  return <Shown chart={read.data} person={read.data.patient} node={node} patient={patient} emergency={emergency} />;
}

/** What an emergency showed leaves the memory with the emergency. */
function useForgetting(patient: string, isEmergency: boolean): void {
  const queries = useQueryClient();
  useEffect(() => {
    if (!isEmergency) return undefined;
    return () => queries.removeQueries({ queryKey: ["chart", patient], predicate: ({ queryKey }) => queryKey[2] !== "page" || queryKey[3] === "emergency" });
  }, [queries, patient, isEmergency]);
}

/** Absent and closed look alike: the node does not tell which, and neither does this page. */
function Closed({ patient }: { readonly patient: string }): ReactElement {
  return (
    <div className="narrow">
      <h1><Trans>This chart is not open to you</Trans></h1>
      <p><Trans>Either there is no such chart, or the patient has closed it to you. In an emergency you may open it all the same.</Trans></p>
      <section className="card sheet"><h2><Trans>Emergency access</Trans></h2><EmergencyForm patient={patient} /></section>
      <p><Link to="/app/patients"><Trans>To the patients</Trans></Link></p>
    </div>
  );
}

interface ShownProps {
  readonly chart: Chart;
  readonly person: Patient;
  readonly node: Node;
  readonly patient: string;
  readonly emergency: Emergency | undefined;
}

function Shown({ chart, person, node, patient, emergency }: ShownProps): ReactElement {
  const { t } = useLingui();
  const [opened, setOpened] = useState<FhirResource>();
  const navigate = useNavigate();
  useKeys({ "/": () => void navigate({ to: "/app/patients" }) });
  useEffect(() => rememberRecent(toRow(person)), [person]);
  const allergies = nameAllergies(chart, t`more below`);
  const each = { node, patient, onOpen: setOpened };
  return (
    <>
      {emergency === undefined ? null : <Countdown emergency={emergency} />}
      <Banner person={person} chart={chart} allergies={allergies} patient={patient} emergency={emergency} />
      <div className="chart">
        <div>
          <Problems {...each} page={chart.problems} />
          <Allergies {...each} page={chart.allergies} />
          <Notes {...each} page={chart.notes} />
        </div>
        <div>
          <Medicines {...each} page={chart.medicines} allergies={allergies} />
          <Visits {...each} page={chart.visits} />
          <Vaccines {...each} page={chart.vaccines} />
        </div>
        <div>
          <Vitals {...each} page={chart.vitals} />
          <Results {...each} page={chart.results} />
          <Reports {...each} page={chart.reports} />
          <Others {...each} page={chart.others} />
        </div>
      </div>
      {opened === undefined ? null : <Suspense fallback={null}><Details of={opened} node={node} patient={patient} onClose={() => setOpened(undefined)} /></Suspense>}
    </>
  );
}

/** The allergies that stand, in words, and that there are more where not all were fetched; "" if none is on record. */
function nameAllergies(chart: Chart, more: string): string {
  const { resources, next } = chart.allergies;
  return joinWords([...resources.filter((one) => isStanding(one) && !isNoneKnown(one)).map((one) => sayConcept(one.code)), next === "" ? "" : more]);
}

function Banner({ person, chart, allergies, patient, emergency }: Omit<ShownProps, "node"> & { readonly allergies: string }): ReactElement {
  const { t } = useLingui();
  const sex = useSex();
  const { name, born, gender } = toRow(person);
  const died = person.deceasedDateTime;
  const isDead = person.deceasedBoolean === true || died !== undefined;
  const isNone = chart.allergies.resources.some((one) => isStanding(one) && isNoneKnown(one));
  return (
    <div className="banner" role="region" aria-label={t`Patient`}>
      <div className="row apart">
        <div className="row">
          <h1>{name === "" ? <Trans>no name</Trans> : name}</h1>
          {isDead ? <span className="tag bad">{died === undefined ? <Trans>has died</Trans> : <Trans>died {sayDate(died)}</Trans>}</span> : null}
          <span>{joinWords([isDead && died === undefined ? "" : sayAge(born, parseDate(died)), sex(gender), born === "" ? "" : t`born ${sayDate(born)}`], " · ")}</span>
        </div>
        <div className="row"><AppsButton patient={patient} />{emergency === undefined ? <EmergencyButton patient={patient} /> : null}<KeysHelp /></div>
      </div>
      <div className="row small">
        <span className={allergies === "" ? "soft" : "allergies"}>{allergies === "" ? (isNone ? <Trans>No allergy known</Trans> : <Trans>No allergy on record</Trans>) : <Trans>Allergies: {allergies}</Trans>}</span>
        <Numbers person={person} />
        <span className="soft">{emergency === undefined ? <Trans>You see what the patient allows; the rest looks as if it were not there.</Trans> : <Trans>You see everything.</Trans>}</span>
      </div>
    </div>
  );
}

/** The patient's numbers, those of this house first; a national number is not needed to tell two people apart. */
function Numbers({ person }: { readonly person: Patient }): ReactElement {
  const medical = (person.identifier ?? []).filter((one) => one.type?.coding?.some((coding) => coding.code === "MR"));
  return (
    <span className="soft">
      {medical.slice(0, 2).map((one) => <span key={`${one.system ?? ""}|${one.value ?? ""}`}><Trans>Number {one.value ?? ""}</Trans> · </span>)}
      <Trans>Record number <span className="mono">{person.id ?? ""}</span></Trans>
    </span>
  );
}
