import { Trans, useLingui } from "@lingui/react/macro";
import type { Observation } from "fhir/r4";
import type { ReactElement, ReactNode } from "react";
import type { Node, Page } from "../../lib/node.ts";
import { sayDate, sayLimit, sayObservation } from "../../lib/words.ts";
import { Further } from "./lists.tsx";
import { type Flag, flagOf, group, numbersOf, pointsOf, type Series, trendOf } from "./measures.ts";
import { Nothing, type Opener, Part } from "./parts.tsx";
import { shorten } from "./short.ts";

interface Values {
  readonly page: Page<Observation>;
  readonly node: Node;
  readonly patient: string;
  readonly onOpen: Opener;
}

/** Each vital sign's newest value, and how it went. */
export function Vitals(props: Values): ReactElement {
  return <Measured {...props} name="vitals" title={<Trans>Vital signs</Trans>} nothing={<Trans>No vital sign is on record.</Trans>} />;
}

/** Each test's newest result, how it stands to what is usual, and how it went. */
export function Results(props: Values): ReactElement {
  return <Measured {...props} name="results" title={<Trans>Results ({props.page.total ?? props.page.resources.length})</Trans>} nothing={<Trans>No laboratory result is on record.</Trans>} />;
}

/** Whatever else was measured or asked: nobody's finding is left out of the chart because of how it was filed. */
export function Others(props: Values): ReactElement | null {
  if (props.page.resources.length === 0) return null;
  return <Measured {...props} name="others" title={<Trans>Other findings ({props.page.total ?? props.page.resources.length})</Trans>} nothing={null} />;
}

function Measured({ page, node, patient, onOpen, name, title, nothing }: Values & { readonly name: "vitals" | "results" | "others"; readonly title: ReactNode; readonly nothing: ReactNode }): ReactElement {
  const found = group(page.resources);
  return (
    <Part title={title}>
      {found.length === 0 ? <Nothing>{nothing}</Nothing> : <ul>{found.map((series) => <li key={series.key}><Measure series={series} onOpen={onOpen} /></li>)}</ul>}
      <Further name={name} page={page} node={node} patient={patient}><Trans>Older ones too</Trans></Further>
    </Part>
  );
}

function Measure({ series, onOpen }: { readonly series: Series; readonly onOpen: Opener }): ReactElement {
  const flag = flagOf(series.newest);
  return (
    <button type="button" className="line measure" onClick={() => onOpen(series.newest)}>
      <span><span className="what"><bdi>{shorten(series.newest.code)}</bdi></span><span className="more small soft"> {sayDate(series.newest.effectiveDateTime ?? series.newest.effectivePeriod?.start)}</span></span>
      <span className="amount"><bdi>{sayObservation(series.newest) || <Trans>no value</Trans>}</bdi> <FlagWord flag={flag} /><Limit of={series.newest} /><Trend series={series} /></span>
      <Spark numbers={numbersOf(series.all)} />
    </button>
  );
}

/** The flag as a word: colour alone says nothing to many. */
export function FlagWord({ flag }: { readonly flag: Flag }): ReactElement | null {
  if (flag === "") return null;
  return <span className={`flag ${flag}`}>{flag === "low" ? <Trans>low</Trans> : flag === "high" ? <Trans>high</Trans> : flag === "critical" ? <Trans>critical</Trans> : <Trans>abnormal</Trans>}</span>;
}

/** That a value is not the last word: a preliminary one must not read as a final one. */
export function Limit({ of }: { readonly of: Observation }): ReactElement | null {
  const limit = sayLimit(of);
  return limit === "" ? null : <span className="tag warn small">{limit}</span>;
}

function Trend({ series }: { readonly series: Series }): ReactElement | null {
  const { t } = useLingui();
  const trend = trendOf(series);
  if (trend === 0) return null;
  return <span className="soft"><span aria-hidden="true">{trend > 0 ? " ↗" : " ↘"}</span><span className="unseen">{trend > 0 ? t`, rising` : t`, falling`}</span></span>;
}

const [WIDTH, HEIGHT] = [52, 18];

/** A small drawing beside numbers that are told in words: hidden from screen readers. */
function Spark({ numbers }: { readonly numbers: readonly number[] }): ReactElement {
  const points = pointsOf(numbers, WIDTH, HEIGHT);
  const [x, y] = points.split(" ").at(-1)?.split(",") ?? [];
  return (
    <svg className="spark" width={WIDTH} height={HEIGHT + 4} viewBox={`-2 -2 ${WIDTH + 4} ${HEIGHT + 4}`} aria-hidden="true" focusable="false">
      {points === "" ? null : <><polyline points={points} /><circle cx={x} cy={y} r="2.2" /></>}
    </svg>
  );
}
