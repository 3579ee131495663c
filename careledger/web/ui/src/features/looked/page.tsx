import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactElement, useCallback, useDeferredValue, useEffect, useMemo, useState } from "react";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { useNews } from "./live.ts";
import { type Entry, group, joinLogs, type Kind, type Log, type Look, readLog } from "./log.ts";
import { LookCard } from "./look.tsx";
import { dayOf, Person } from "./words.tsx";
import "./looked.css";

type Choice = Kind | "others";

const ENOUGH = 8;
const PAGES_MAX = 3;

/** Who looked at my record, when, why, on what authority and what they saw; newest first, as it happens. */
export function Page(): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const queries = useQueryClient();
  const queryKey = useMemo(() => ["chart", patient, "accesses"] as const, [patient]);
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => readLog(node, patient, pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: (page: Log) => page.next,
    staleTime: Infinity, // news come by themselves, and asking is an entry of the log
  });
  const onNews = useCallback(
    (log: Log) => queries.setQueryData<{ pages: Log[]; pageParams: (number | null)[] }>(queryKey, (old) => old && { ...old, pages: [{ ...log, next: old.pages[0]?.next ?? log.next }, ...old.pages], pageParams: [null, ...old.pageParams] }),
    [queries, queryKey],
  );
  useNews(node, patient, query.data?.pages[0]?.total, onNews);
  const data = useDeferredValue(query.data); // a long log is drawn in slices
  const entries = useMemo(() => joinLogs(data?.pages ?? []), [data]);
  return (
    <section className="looked">
      <h1><Trans>Who looked at my record</Trans></h1>
      <p className="soft narrow"><Trans>Every look is written down before anything is shown, and nobody can remove it unseen: not the house, not its technicians. <Link to="/app/proof">Check that yourself</Link></Trans></p>
      {query.isError ? <Problem error={query.error} onRetry={() => void query.refetch()} /> : data === undefined ? <Loading /> : (
        <Looks entries={entries} more={query.hasNextPage ? () => void query.fetchNextPage() : undefined} isBusy={query.isFetchingNextPage} pages={data.pages.length} />
      )}
    </section>
  );
}

interface LooksProps {
  readonly entries: readonly Entry[];
  readonly more: (() => void) | undefined;
  readonly isBusy: boolean;
  readonly pages: number;
}

/** The looks by day, filtered by person and kind; looks back a little further by itself where few are found. */
export function Looks({ entries, more, isBusy, pages }: LooksProps): ReactElement {
  const [choice, setChoice] = useState<Choice | "all">("others");
  const [person, setPerson] = useState("");
  const looks = useMemo(() => group(entries), [entries]);
  const found = looks.filter((look) => (person === "" || look.person === person) && isChosen(look, choice));
  const isShort = found.length < ENOUGH && pages < PAGES_MAX;
  useEffect(() => {
    if (isShort && !isBusy) more?.();
  }, [isShort, isBusy, more]);
  return (
    <>
      <Filters looks={looks} choice={choice} onChoice={setChoice} person={person} onPerson={setPerson} />
      <p role="status" className="soft small"><Plural value={found.length} one="# look" other="# looks" />{more === undefined ? null : <> · <Trans>older ones are not loaded yet</Trans></>}</p>
      {found.length === 0 && more === undefined ? <Nothing choice={choice} person={person} /> : null}
      {byDay(found).map(([day, ofDay]) => (
        <section key={day}>
          <h2>{day}</h2>
          <ul className="plain looks">{ofDay.map((look) => <LookCard key={look.key} look={look} />)}</ul>
        </section>
      ))}
      {more === undefined ? null : <p><button type="button" className="quiet-button bordered" disabled={isBusy} onClick={more}>{isBusy ? <Trans>One moment…</Trans> : <Trans>Look further back</Trans>}</button></p>}
    </>
  );
}

function isChosen(look: Look, choice: Choice | "all"): boolean {
  return choice === "all" || (choice === "others" ? look.kind !== "mine" : look.kind === choice);
}

/** Days with their looks, in the order of the looks. */
function byDay(looks: readonly Look[]): readonly (readonly [string, readonly Look[]])[] {
  const days = new Map<string, Look[]>();
  for (const look of looks) {
    const day = dayOf(look.toMs);
    days.set(day, [...(days.get(day) ?? []), look]);
  }
  return [...days];
}

function Nothing({ choice, person }: { readonly choice: Choice | "all"; readonly person: string }): ReactElement {
  return (
    <Empty>
      {choice === "others" && person === "" ? (
        <p><Trans>Nobody but you has looked at your record yet. Whoever does will stand here.</Trans></p>
      ) : choice === "refused" ? (
        <p><Trans>None here. An attempt that was refused showed nothing of your record: most of them stand in the house's own log only.</Trans></p>
      ) : (
        <p><Trans>Nothing of this kind. Choose something else above.</Trans></p>
      )}
    </Empty>
  );
}

interface FiltersProps {
  readonly looks: readonly Look[];
  readonly choice: Choice | "all";
  readonly onChoice: (choice: Choice | "all") => void;
  readonly person: string;
  readonly onPerson: (person: string) => void;
}

function Filters({ looks, choice, onChoice, person, onPerson }: FiltersProps): ReactElement {
  const { t } = useLingui();
  const people = useMemo(() => [...new Map(looks.map((look) => [look.person, look])).values()], [looks]);
  const choices: readonly (readonly [Choice | "all", string])[] = [
    ["others", t`Everybody but me`],
    ["emergency", t`Emergencies`],
    ["refused", t`Refused`],
    ["account", t`News of my account`],
    ["mine", t`My own looks`],
    ["all", t`Everything`],
  ];
  return (
    <div className="filters">
      <label className="field"><Trans>Show</Trans>
        <select value={choice} onChange={(event) => onChoice(event.target.value as Choice | "all")}>
          {choices.map(([value, name]) => <option key={value} value={value}>{name}</option>)}
        </select>
      </label>
      <label className="field"><Trans>Person</Trans>
        <select value={person} onChange={(event) => onPerson(event.target.value)}>
          <option value="">{t`Everybody`}</option>
          {people.map((look) => <option key={look.person} value={look.person}><Person entry={look.first} /></option>)}
        </select>
      </label>
    </div>
  );
}
