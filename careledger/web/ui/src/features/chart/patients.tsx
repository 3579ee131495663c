import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, type ReactElement, useEffect, useRef, useState } from "react";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import type { PatientRow } from "../../lib/patients.ts";
import { sayDate } from "../../lib/words.ts";
import { Unlisted } from "./emergency-form.tsx";
import { isEnough, listMine, type Mine, searchPatients } from "./finding.ts";
import { useKeys } from "./keys.ts";
import { KeysHelp } from "./keys-help.tsx";
import { recentPatients, useOpen } from "./opening.ts";
import { sayAge, useSex } from "./person.ts";
import "./patients.css";

const WAIT_MS = 200;

interface List {
  readonly name: string;
  readonly rows: readonly (PatientRow & Partial<Mine>)[];
}

/** The clinician's home: who was just seen, who was treated last, and anybody by a few letters. */
export function Page(): ReactElement {
  const { t } = useLingui();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  const wanted = useSettled(text.trim());
  const isSearch = isEnough(wanted);
  const found = useFound(wanted, isSearch);
  const mine = useMine(!isSearch);
  const open = useOpen();
  useKeys({ "/": () => field.current?.focus() });
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) field.current?.focus(); // on a phone the keyboard would cover the list
  }, []);
  const lists: readonly List[] = isSearch
    ? [{ name: t`Found`, rows: found.data?.rows ?? [] }]
    : [{ name: t`Opened in this tab`, rows: recentPatients() }, { name: t`Your patients, last seen first`, rows: mine.data ?? [] }];
  const rows = lists.flatMap((list) => list.rows);
  const chosen = Math.max(0, Math.min(at, rows.length - 1));
  const press = (event: KeyboardEvent): void => {
    const row = rows[chosen];
    if (event.key === "ArrowDown") setAt(Math.min(chosen + 1, rows.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(chosen - 1, 0));
    else if (event.key === "Enter" && row !== undefined) open(row);
    else if (event.key === "Escape") setText("");
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    void document.getElementById(`patient-${chosen}`)?.scrollIntoView({ block: "nearest" }); // a promise in newer browsers, which is no way to clean up
  }, [chosen]);
  const asked = isSearch ? found : mine;
  return (
    <div className="patients">
      <div className="row apart"><h1><Trans>Patients</Trans></h1><KeysHelp /></div>
      <input ref={field} role="combobox" aria-expanded="true" aria-controls="patients" aria-autocomplete="list" aria-activedescendant={rows.length === 0 ? undefined : `patient-${chosen}`} aria-label={t`Search patients`} placeholder={t`Name, date of birth, or number of the patient`} autoComplete="off" spellCheck={false} value={text} onChange={(event) => { setText(event.target.value.replace(/^\/+/, "")); /* "/" leads here, also from here */ setAt(0); }} onKeyDown={press} />
      <p className="soft small" role="status">
        {isSearch && found.data !== undefined
          ? <Plural value={found.data.total} _0="Nobody found" one="# patient found" other="# patients found" />
          : <Trans>Type to search; arrows choose, Enter opens. Every search and every chart you open is logged, and the patient sees it.</Trans>}
        {found.data !== undefined && isSearch && found.data.total > found.data.rows.length ? <> · <Trans>the first {found.data.rows.length} are shown: type more</Trans></> : null}
      </p>
      {asked.isError ? <Problem error={asked.error} onRetry={() => void asked.refetch()} /> : null}
      {asked.isPending && rows.length === 0 ? <Loading /> : null}
      <div id="patients" role="listbox" aria-label={t`Patients`}>
        <Lists lists={lists} chosen={chosen} onOpen={open} />
      </div>
      {isSearch && found.data?.rows.length === 0 ? <Empty><p><Trans>Nobody of that name, date or number is here, or they have closed their chart to you.</Trans></p></Empty> : null}
      {!isSearch && mine.isSuccess && rows.length === 0 ? <Empty><p><Trans>You have not treated anybody here yet. Search for a patient above.</Trans></p></Empty> : null}
      <Unlisted />
    </div>
  );
}

function Lists({ lists, chosen, onOpen }: { readonly lists: readonly List[]; readonly chosen: number; readonly onOpen: (row: PatientRow) => void }): ReactElement {
  let before = 0;
  return (
    <>
      {lists.filter((list) => list.rows.length > 0).map((list) => {
        const first = before;
        before += list.rows.length;
        return (
          <div role="group" aria-label={list.name} key={list.name}>
            <h2 role="presentation">{list.name}</h2>
            {list.rows.map((row, index) => <Row key={row.id} row={row} number={first + index} isChosen={first + index === chosen} onOpen={onOpen} />)}
          </div>
        );
      })}
    </>
  );
}

function Row({ row, number, isChosen, onOpen }: { readonly row: PatientRow & Partial<Mine>; readonly number: number; readonly isChosen: boolean; readonly onOpen: (row: PatientRow) => void }): ReactElement {
  const sex = useSex();
  const age = row.hasDied ? "" : sayAge(row.born);
  return (
    <div id={`patient-${number}`} role="option" aria-selected={isChosen} onClick={() => onOpen(row)}>
      <span className="strong">{row.name === "" ? <Trans>no name</Trans> : row.name}{row.hasDied ? <> <span className="tag bad small"><Trans>has died</Trans></span></> : null}</span>
      <span>{row.born === "" ? null : <Trans>born {sayDate(row.born)}</Trans>}</span>
      <span>{age}</span>
      <span>{sex(row.gender)}</span>
      <span className="soft small">{row.seen === undefined || row.seen === "" ? null : <Trans>last visit {sayDate(row.seen)}</Trans>}</span>
    </div>
  );
}

/** What was typed, once the fingers rest. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), WAIT_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

function useFound(wanted: string, isSearch: boolean) {
  const { node } = usePresent();
  return useQuery({
    queryKey: ["patients", wanted],
    queryFn: ({ signal }) => searchPatients(node, wanted, signal),
    enabled: isSearch,
    placeholderData: keepPreviousData,
  });
}

function useMine(isWanted: boolean) {
  const { node, session } = usePresent();
  const practitioner = session.fhirUser.replace("Practitioner/", "");
  return useQuery({ queryKey: ["patients-mine", practitioner], queryFn: () => listMine(node, practitioner), enabled: isWanted, staleTime: 60_000 });
}
