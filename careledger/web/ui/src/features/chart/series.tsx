import { Plural, Trans } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import type { Observation } from "fhir/r4";
import type { ReactElement } from "react";
import { Loading, Problem } from "../../components/states.tsx";
import type { Node } from "../../lib/node.ts";
import { sayDate, sayNumber, sayObservation } from "../../lib/words.ts";
import { flagOf, numbersOf, pointsOf } from "./measures.ts";
import { readSeries } from "./reading.ts";
import { FlagWord, Limit } from "./values.tsx";

const COUNT = 30;
const [WIDTH, HEIGHT, MARGIN] = [520, 120, 16];

/** The last values of one test: drawn, and as a table, which says the same to who cannot see the drawing. */
export function SeriesOf({ code, node, patient }: { readonly code: string; readonly node: Node; readonly patient: string }): ReactElement {
  const read = useQuery({ queryKey: ["chart", patient, "series", code], queryFn: () => readSeries(node, patient, code, COUNT) });
  if (read.isPending) return <Loading />;
  if (read.isError) return <Problem error={read.error} onRetry={() => void read.refetch()} />;
  const values = read.data.resources.filter((one) => one.status !== "entered-in-error");
  return (
    <>
      <h3><Plural value={values.length} one="The only value" other="The last # values" /></h3>
      <Drawing values={values} />
      <div className="scroll">
        <table className="plain small">
          <caption className="unseen"><Trans>Values, newest first</Trans></caption>
          <thead><tr><th scope="col"><Trans>When</Trans></th><th scope="col"><Trans>Value</Trans></th></tr></thead>
          <tbody>{values.map((one) => <tr key={one.id}><td>{sayDate(one.effectiveDateTime ?? one.effectivePeriod?.start)}</td><td><bdi>{sayObservation(one)}</bdi> <FlagWord flag={flagOf(one)} /> <Limit of={one} /></td></tr>)}</tbody>
        </table>
      </div>
    </>
  );
}

function Drawing({ values }: { readonly values: readonly Observation[] }): ReactElement | null {
  const numbers = numbersOf(values);
  const points = pointsOf(numbers, WIDTH - 80, HEIGHT - 2 * MARGIN);
  if (points === "") return null;
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return (
    <svg className="series" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" focusable="false" direction="ltr">
      <g transform={`translate(8 ${MARGIN})`}>
        <polyline points={points} />
        {points.split(" ").map((point, index) => <circle key={index} cx={point.split(",")[0]} cy={point.split(",")[1]} r="3" />)}
        <text x={WIDTH - 60} y="4">{sayNumber(most)}</text>
        {least === most ? null : <text x={WIDTH - 60} y={HEIGHT - 2 * MARGIN + 4}>{sayNumber(least)}</text>}
      </g>
    </svg>
  );
}
