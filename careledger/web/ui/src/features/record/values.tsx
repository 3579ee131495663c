import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { FhirResource, Observation } from "fhir/r4";
import type { ReactElement } from "react";
import { Loading, Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import type { Page } from "../../lib/node.ts";
import { dateOf, sayConcept, sayDate, sayMoment, sayObservation } from "../../lib/words.ts";
import { useFurther } from "./further.ts";
import { EntryButton } from "./opening.tsx";
import { codesOf, groupSeries, rangeOf, type Series } from "./series.ts";
import { sayTest } from "./tests.ts";
import { Trend } from "./trend.tsx";

const COUNT = "100";
const ELEMENTS = "status,code,effective,value,component,referenceRange,interpretation,dataAbsentReason,performer";

/** Every value of one test: the curve, and the table that says the same. */
export function Values({ series, patient }: { readonly series: Series; readonly patient: string }): ReactElement {
  const { node } = usePresent();
  const found = useQuery({
    queryKey: ["chart", patient, "results", series.key],
    queryFn: () => node.search<FhirResource>("Observation", [["patient", patient], ["code", codesOf(series)], ["_sort", "-date"], ["_count", COUNT], ["_elements", ELEMENTS]]),
  });
  if (found.isPending) return <Loading />;
  if (found.data === undefined) return <Problem error={found.error} onRetry={() => void found.refetch()} />;
  return <Table first={found.data} series={series} />;
}

function Table({ first, series }: { readonly first: Page<FhirResource>; readonly series: Series }): ReactElement {
  const { t } = useLingui();
  const list = useFurther(first);
  const whole = groupSeries(list.resources as readonly Observation[]).find((one) => one.key === series.key) ?? series;
  const name = sayTest(series.newest.code);
  const [oldest, newest] = [whole.all.at(-1), whole.newest];
  const [from, to] = [sayDate(oldest === undefined ? "" : dateOf(oldest)), sayDate(dateOf(newest))];
  return (
    <>
      <Trend points={whole.points} range={rangeOf(newest)} label={t`${name}: curve from ${from} to ${to}; the table below has every value`} />
      <div className="scroll">
        <table className="plain">
          <caption className="unseen">{name}</caption>
          <thead><tr><th scope="col"><Trans>When</Trans></th><th scope="col"><Trans>Value</Trans></th><th scope="col"><Trans>Called</Trans></th></tr></thead>
          <tbody>
            {whole.all.map((one) => (
              <tr key={one.id}>
                <td><EntryButton reference={`Observation/${one.id}`} className="entry link">{sayMoment(dateOf(one)) || <Trans>Without a date</Trans>}</EntryButton></td>
                <td>{sayObservation(one)}</td>
                <td className="soft small">{sayConcept(one.code)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {list.error === undefined ? null : <Problem error={list.error} onRetry={list.read} />}
      {list.hasMore ? <Button variant="subtle" loading={list.isReading} onClick={list.read}><Trans>Show more</Trans></Button> : null}
    </>
  );
}
