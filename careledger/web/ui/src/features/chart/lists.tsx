import { Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { AllergyIntolerance, Condition, DiagnosticReport, DocumentReference, Encounter, FhirResource, Immunization } from "fhir/r4";
import { type ReactElement, type ReactNode, useState } from "react";
import { Problem } from "../../components/states.tsx";
import type { Node, Page } from "../../lib/node.ts";
import { joinWords, sayCoding, sayConcept, sayConcepts, sayDate, sayDoubt, sayLimit, saySource, sayStatus, sayTitle, statusOf } from "../../lib/words.ts";
import { readFirstWords } from "./notes.ts";
import { Earlier, Line, Nothing, type Opener, Part } from "./parts.tsx";
import { join, type Parts, readPast } from "./reading.ts";

interface Listed<T> {
  readonly page: Page<T>;
  readonly onOpen: Opener;
}

/** Current problems; those that are over on demand. */
export function Problems({ page, onOpen, node, patient }: Listed<Condition> & { readonly node: Node; readonly patient: string }): ReactElement {
  const [past, setPast] = useState<Page<Condition>>();
  const fetching = useMutation({
    mutationFn: async () => (past === undefined ? await readPast<Condition>(node, patient, "problems") : join(past, await node.more<Condition>(past.next))),
    onSuccess: setPast,
  });
  const line = (one: Condition): ReactElement => {
    const status = statusOf(one);
    return <li key={one.id}><Line what={sayConcept(one.code)} when={sayDate(one.onsetDateTime ?? one.onsetPeriod?.start ?? one.recordedDate)} more={joinWords([status === "active" ? "" : sayStatus(status), sayDoubt(one), sayConcept(one.severity)])} onOpen={() => onOpen(one)} /></li>;
  };
  return (
    <Part title={<Trans>Problems ({page.total ?? page.resources.length})</Trans>}>
      {page.resources.length === 0 ? <Nothing><Trans>No current problem is on record.</Trans></Nothing> : <ul>{page.resources.map(line)}</ul>}
      <Further name="problems" page={page} node={node} patient={patient} />
      {past === undefined ? null : <><h3 className="small soft">&ensp;<Trans>Over</Trans></h3><ul>{past.resources.map(line)}</ul></>}
      {past !== undefined && past.resources.length === 0 ? <Nothing><Trans>Nothing earlier is on record.</Trans></Nothing> : null}
      {past === undefined || past.next !== "" ? <Earlier onPress={() => fetching.mutate()} isBusy={fetching.isPending}><Trans>Problems that are over</Trans></Earlier> : null}
      {fetching.isError ? <Problem error={fetching.error} /> : null}
    </Part>
  );
}

/** Fetches what the first page of a part left out, and puts it into the chart. */
export function Further({ name, page, node, patient, children }: { readonly name: keyof Parts; readonly page: Page<FhirResource>; readonly node: Node; readonly patient: string; readonly children?: ReactNode }): ReactElement | null {
  const queries = useQueryClient();
  const fetching = useMutation({
    mutationFn: async () => join(page, await node.more<FhirResource>(page.next)),
    onSuccess: (longer) => queries.setQueriesData<Parts>({ queryKey: ["chart", patient, "page"] }, (chart) => (chart === undefined ? chart : { ...chart, [name]: longer })),
  });
  if (page.next === "") return null;
  return (
    <>
      <Earlier onPress={() => fetching.mutate()} isBusy={fetching.isPending}>{children}</Earlier>
      {fetching.isError ? <Problem error={fetching.error} /> : null}
    </>
  );
}

/** An allergy or intolerance that holds: not ruled out, not over, not entered by mistake. */
export function isStanding(one: AllergyIntolerance): boolean {
  const verified = one.verificationStatus?.coding?.[0]?.code;
  const clinical = one.clinicalStatus?.coding?.[0]?.code;
  return verified !== "entered-in-error" && verified !== "refuted" && clinical !== "inactive" && clinical !== "resolved";
}

/** Whether the entry says that there is none. */
const NONE_KNOWN = new Set(["716186003", "409137002", "428607008", "1003774007"]);
export function isNoneKnown(one: AllergyIntolerance): boolean {
  return one.code?.coding?.some((coding) => NONE_KNOWN.has(coding.code ?? "")) ?? false;
}

/** Those that stand come first, the dangerous before all: what was ruled out or is over must not hide them. */
export function rankAllergies(all: readonly AllergyIntolerance[]): readonly AllergyIntolerance[] {
  const rank = (one: AllergyIntolerance): number => (!isStanding(one) ? 3 : isNoneKnown(one) ? 2 : one.criticality === "high" ? 0 : 1);
  return all.toSorted((one, other) => rank(one) - rank(other));
}

export function Allergies({ page, onOpen, node, patient }: Grown<AllergyIntolerance>): ReactElement {
  const { t } = useLingui();
  const about = (one: AllergyIntolerance): string => joinWords([
    one.criticality === "high" ? t`high risk` : "",
    ...(one.reaction ?? []).map((reaction) => sayConcepts(reaction.manifestation)),
    isStanding(one) ? sayDoubt(one) : sayStatus(statusOf(one)),
  ]);
  return (
    <Part title={<Trans>Allergies ({page.total ?? page.resources.length})</Trans>}>
      {page.resources.length === 0 ? <Nothing><Trans>No allergy is on record. That is not the same as having none: ask.</Trans></Nothing> : (
        <ul>{rankAllergies(page.resources).map((one) => <li key={one.id}><Line what={sayConcept(one.code)} when={sayDate(one.onsetDateTime ?? one.recordedDate)} more={about(one)} onOpen={() => onOpen(one)} /></li>)}</ul>
      )}
      <Further name="allergies" page={page} node={node} patient={patient} />
    </Part>
  );
}

interface Grown<T> extends Listed<T> {
  readonly node: Node;
  readonly patient: string;
}

export function Visits({ page, onOpen, node, patient }: Grown<Encounter>): ReactElement {
  const about = (one: Encounter): string => joinWords([sayConcepts(one.reasonCode), one.serviceProvider?.display, one.status === "finished" ? "" : sayStatus(one.status)], " · ");
  return (
    <Part title={<Trans>Visits ({page.total ?? page.resources.length})</Trans>}>
      {page.resources.length === 0 ? <Nothing><Trans>No visit is on record.</Trans></Nothing> : (
        <ul>{page.resources.map((one) => <li key={one.id}><Line what={sayConcepts(one.type) || sayCoding(one.class)} when={sayDate(one.period?.start)} more={about(one)} onOpen={() => onOpen(one)} /></li>)}</ul>
      )}
      <Further name="visits" page={page} node={node} patient={patient} />
    </Part>
  );
}

/** Notes by kind, day and author, each with its first words: a list of the same titles tells nobody which to open. */
export function Notes({ page, onOpen, node, patient }: Grown<DocumentReference>): ReactElement {
  const ids = page.resources.flatMap((one) => (one.id === undefined || one.description !== undefined ? [] : [one.id]));
  const read = useQuery({ queryKey: ["chart", patient, "first words", ids], queryFn: ({ signal }) => readFirstWords(node, patient, ids, signal), enabled: ids.length > 0, placeholderData: keepPreviousData, staleTime: Infinity });
  return (
    <Part title={<Trans>Notes and documents ({page.total ?? page.resources.length})</Trans>}>
      {page.resources.length === 0 ? <Nothing><Trans>No document is on record.</Trans></Nothing> : (
        <ul>{page.resources.map((one) => <li key={one.id}><Line what={sayTitle(one)} when={sayDate(one.date)} more={aboutNote(one, read.data)} onOpen={() => onOpen(one)} /></li>)}</ul>
      )}
      <Further name="notes" page={page} node={node} patient={patient} />
    </Part>
  );
}

/** Author, a status that is not the usual one, and the first words or the description. */
export function aboutNote(one: DocumentReference, words: ReadonlyMap<string, string> = new Map()): string {
  return joinWords([one.docStatus === "entered-in-error" ? sayStatus(one.docStatus) : sayLimit(one), saySource(one), one.status === "current" || one.status === "superseded" ? "" : sayStatus(one.status), one.description ?? words.get(one.id ?? "")], " · ");
}

const CONCLUSION_MOST = 300;

function cut(text: string): string {
  return text.length > CONCLUSION_MOST ? `${text.slice(0, CONCLUSION_MOST).trimEnd()}…` : text;
}

/** Reports of laboratories, pathology and imaging with what they conclude, which stands in no single value. */
export function Reports({ page, onOpen, node, patient }: Grown<DiagnosticReport>): ReactElement | null {
  if (page.resources.length === 0) return null;
  const about = (one: DiagnosticReport): string => joinWords([sayLimit(one), cut(one.conclusion ?? "")], " · ");
  return (
    <Part title={<Trans>Reports ({page.total ?? page.resources.length})</Trans>}>
      <ul>{page.resources.map((one) => <li key={one.id}><Line what={sayConcept(one.code)} when={sayDate(one.effectiveDateTime ?? one.effectivePeriod?.start ?? one.issued)} more={about(one)} onOpen={() => onOpen(one)} /></li>)}</ul>
      <Further name="reports" page={page} node={node} patient={patient} />
    </Part>
  );
}

export function Vaccines({ page, onOpen, node, patient }: Grown<Immunization>): ReactElement {
  return (
    <Part title={<Trans>Immunisations ({page.total ?? page.resources.length})</Trans>}>
      {page.resources.length === 0 ? <Nothing><Trans>No immunisation is on record.</Trans></Nothing> : (
        <ul>{page.resources.map((one) => <li key={one.id}><Line what={sayConcept(one.vaccineCode)} when={sayDate(one.occurrenceDateTime)} more={one.status === "completed" ? "" : sayStatus(one.status)} onOpen={() => onOpen(one)} /></li>)}</ul>
      )}
      <Further name="vaccines" page={page} node={node} patient={patient} />
    </Part>
  );
}
