import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Encounter } from "fhir/r4";
import { type ReactElement, useDeferredValue, useMemo, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { useLive } from "../../lib/live.ts";
import { nameMedicines, sayMonth } from "../../lib/words.ts";
import { KIND_WORDS } from "./kinds.ts";
import { MomentLine } from "./line.tsx";
import { groupMoments, groupMonths, type Moment } from "./moments.ts";
import { OpenEntry } from "./opening.tsx";
import { type Cursor, findCursor, type Kind, KINDS, listEntries, mapVisits, readFirst, readFurther } from "./sources.ts";
import { useNewestBlock } from "./sealing.ts";
import "./record.css";

/** The patient's home: everything over all sources, newest first, and where each entry came from. */
export function Page(): ReactElement {
  const { session } = usePresent();
  const patient = patientOf(session);
  const [kind, setKind] = useState<Kind>("all");
  useLive(patient);
  return (
    <section className="record">
      <div className="row apart">
        <h1><Trans>My record</Trans></h1>
        <Link to="/app/add" className="button-main"><Icon name="pencil" size={18} /> <Trans>Add something</Trans></Link>
      </div>
      <Chips kind={kind} onChoose={setKind} />
      <Timeline key={kind} patient={patient} kind={kind} />
      <OpenEntry />
    </section>
  );
}

function Chips({ kind, onChoose }: { readonly kind: Kind; readonly onChoose: (kind: Kind) => void }): ReactElement {
  const { t, i18n } = useLingui();
  return (
    <div className="chips" role="group" aria-label={t`Show`}>
      {KINDS.map((one) => (
        <button key={one} type="button" className="chip" aria-pressed={one === kind} onClick={() => onChoose(one)}>{i18n._(KIND_WORDS[one])}</button>
      ))}
    </div>
  );
}

function Timeline({ patient, kind }: { readonly patient: string; readonly kind: Kind }): ReactElement {
  const { node } = usePresent();
  const found = useInfiniteQuery({
    queryKey: ["chart", patient, "timeline", kind],
    initialPageParam: undefined as Cursor | undefined,
    queryFn: ({ pageParam }) => (pageParam === undefined ? readFirst(node, patient, kind) : readFurther(node, kind, pageParam)),
    getNextPageParam: (_last, all) => findCursor(all),
  });
  const portions = useDeferredValue(found.data?.pages); // a long list is drawn in slices
  const moments = useMemo(() => groupMoments(listEntries(portions ?? [])), [portions]);
  const visits = useMemo(() => mapVisits(portions ?? []), [portions]);
  const names = useMemo(() => nameMedicines((portions ?? []).flatMap((one) => one.included)), [portions]);
  if (portions === undefined) return found.isError ? <Problem error={found.error} onRetry={() => void found.refetch()} /> : <Loading />;
  const more = found.hasNextPage
    ? <Button variant="default" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}><Trans>Earlier</Trans></Button>
    : <p className="soft small">{moments.length === 0 ? null : <Trans>This is the beginning of your record in this house.</Trans>}</p>;
  return (
    <>
      {found.isError ? <Problem error={found.error} onRetry={() => void found.refetch()} /> : null}
      {moments.length === 0 && !found.hasNextPage ? <Nothing kind={kind} /> : <Months moments={moments} visits={visits} names={names} />}
      <div className="end">{more}</div>
      {kind === "all" ? <p className="soft small end"><Trans>Bills, insurance and the origin of imported entries are under “Everything else”.</Trans></p> : null}
    </>
  );
}

function Nothing({ kind }: { readonly kind: Kind }): ReactElement {
  if (kind === "allergies") return <Empty><p><Trans>No allergy is on record. That is not the same as having none.</Trans></p></Empty>;
  if (kind === "own") return <Empty><p><Trans>You have added nothing yourself yet.</Trans></p><Link to="/app/add" className="button-main"><Trans>Add something</Trans></Link></Empty>;
  if (kind === "all") return <Empty><p><Trans>Your record is empty so far. What your clinicians write appears here at once.</Trans></p></Empty>;
  return <Empty><p><Trans>Nothing of this kind is on record.</Trans></p></Empty>;
}

interface MonthsProps {
  readonly moments: readonly Moment[];
  readonly visits: ReadonlyMap<string, Encounter>;
  readonly names: ReadonlyMap<string, string>;
}

/** Months as sections: a browser lays out and paints only those in sight (record.css), and finds words in all of them. */
function Months({ moments, visits, names }: MonthsProps): ReactElement {
  const block = useNewestBlock(moments.map((one) => one.entry));
  return (
    <div className="months">
      <p className="unseen" role="status"><Plural value={moments.length} one="# entry is shown" other="# entries are shown" /></p>
      {groupMonths(moments).map(([month, lines]) => (
        <section key={month} className="month" aria-labelledby={`month-${month}`}>
          <h2 id={`month-${month}`}>{month === "" ? <Trans>Without a date</Trans> : sayMonth(month)}</h2>
          <ol className="plain">
            {lines.map((one) => <MomentLine key={one.key} moment={one} visits={visits} names={names} newestBlockMs={block} />)}
          </ol>
        </section>
      ))}
    </div>
  );
}
