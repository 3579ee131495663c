import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { FhirResource, Observation } from "fhir/r4";
import { type ReactElement, useMemo, useState } from "react";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { useLive } from "../../lib/live.ts";
import type { Page as Found, Search } from "../../lib/node.ts";
import { dateOf, isPatientStated, sayDate, sayLimit, sayObservation, sayRange } from "../../lib/words.ts";
import { useFurther } from "./further.ts";
import { OpenEntry } from "./opening.tsx";
import { groupSeries, type Place, placeOf, rangeOf, type Series } from "./series.ts";
import { explainTest, sayTest } from "./tests.ts";
import { RangeMark, Spark } from "./trend.tsx";
import { Values } from "./values.tsx";
import "./record.css";
import "./results.css";

/** The kinds of values, each by the category that R4 gives it; the last is whatever has another or none. */
const GROUPS: readonly { readonly key: string; readonly name: MessageDescriptor; readonly category: readonly [string, string]; readonly count: number }[] = [
  { key: "laboratory", name: msg`Laboratory`, category: ["category", "laboratory"], count: 80 },
  { key: "vital-signs", name: msg`Vital signs`, category: ["category", "vital-signs"], count: 60 },
  { key: "other", name: msg`Questionnaires and others`, category: ["category:not", "laboratory,vital-signs"], count: 20 },
];
const ELEMENTS = "status,code,effective,value,component,referenceRange,interpretation,dataAbsentReason,performer";

function searchOf(group: (typeof GROUPS)[number], patient: string): Search {
  return { type: "Observation", parameters: [["patient", patient], group.category, ["_sort", "-date"], ["_count", String(group.count)], ["_elements", ELEMENTS]] };
}

/** Laboratory values and vital signs by test, in plain words: the newest value, the usual range, the trend, all values on demand. */
export function Page(): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  useLive(patient);
  const found = useQuery({ queryKey: ["chart", patient, "results"], queryFn: () => node.searches(GROUPS.map((group) => searchOf(group, patient))) });
  const isEmpty = found.data?.every((page) => page.resources.length === 0) === true;
  return (
    <section className="record wide">
      <h1><Trans>Results</Trans></h1>
      <p className="soft narrow"><Trans>What a value means for you is for your clinician to say. The usual range is the one that the laboratory gave with the value.</Trans></p>
      {found.isPending ? <Loading /> : null}
      {found.isError ? <Problem error={found.error} onRetry={() => void found.refetch()} /> : null}
      {isEmpty ? <Empty><p><Trans>No value has been measured yet.</Trans></p></Empty> : null}
      {isEmpty ? null : found.data?.map((page, at) => <Group key={GROUPS[at]?.key ?? at} name={GROUPS[at]?.name} first={page} patient={patient} />)}
      <OpenEntry />
    </section>
  );
}

function Group({ name, first, patient }: { readonly name: MessageDescriptor | undefined; readonly first: Found<FhirResource>; readonly patient: string }): ReactElement | null {
  const { i18n } = useLingui();
  const list = useFurther(first);
  const series = useMemo(() => groupSeries(list.resources as readonly Observation[]), [list.resources]);
  if (series.length === 0 || name === undefined) return null;
  return (
    <section>
      <h2>{i18n._(name)}</h2>
      <ul className="plain cards results">{series.map((one) => <Test key={one.key} series={one} patient={patient} />)}</ul>
      {list.error === undefined ? null : <Problem error={list.error} onRetry={list.read} />}
      {list.hasMore ? <p><Button variant="default" loading={list.isReading} onClick={list.read}><Trans>Look for older tests</Trans></Button></p> : null}
    </section>
  );
}

/** What a value's place beside the range is called. Colour only repeats it. */
const PLACES: Readonly<Record<Place, MessageDescriptor | undefined>> = {
  below: msg`Below the usual range`,
  within: msg`Within the usual range`,
  above: msg`Above the usual range`,
  notable: msg`Marked as notable by the laboratory`,
  unknown: undefined,
};

function Test({ series, patient }: { readonly series: Series; readonly patient: string }): ReactElement {
  const { i18n } = useLingui();
  const [isOpen, setOpen] = useState(false);
  const { newest, points } = series;
  const range = rangeOf(newest);
  const place = placeOf(newest);
  const said = PLACES[place];
  const value = newest.valueQuantity?.value;
  const normal = newest.referenceRange?.map((one) => sayRange(one) || one.text).find((text) => text !== undefined && text !== "");
  return (
    <li className="card test">
      <h3>{sayTest(newest.code)}</h3>
      <p className="soft small">{explainTest(newest.code)}</p>
      <div className="row apart">
        <p className="newest"><strong>{sayObservation(newest) || <Trans>No value</Trans>}</strong><br /><span className="soft small">{sayDate(dateOf(newest))}</span></p>
        <Spark points={points} />
      </div>
      {said === undefined ? null : <p className="row"><span className={place === "within" ? "tag good" : "tag warn"}>{i18n._(said)}</span>{range === undefined || value === undefined ? null : <RangeMark value={value} range={range} />}</p>}
      {normal === undefined ? null : <p className="soft small"><Trans>Usually {normal}</Trans></p>}
      {sayLimit(newest) === "" ? null : <p><span className="tag warn">{sayLimit(newest)}</span></p>}
      {isPatientStated(newest) ? <p><span className="tag"><Trans>Added by you</Trans></span></p> : null}
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary><Trans>All values</Trans></summary>
        {isOpen ? <Values series={series} patient={patient} /> : null}
      </details>
    </li>
  );
}
