import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Communication, FhirResource } from "fhir/r4";
import { type ReactElement, useEffect, useRef } from "react";
import { Icon } from "../../components/icon.tsx";
import { Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import type { Bundle } from "../../lib/node.ts";
import { findSource, isPatientStated, joinWords, sayKind, sayMoment } from "../../lib/words.ts";
import { Documents } from "./documents.tsx";
import { type Fact, listFacts, listParts } from "./facts.ts";
import { readStatements } from "./statements.ts";
import { explainTest } from "./tests.ts";
import { titleOf } from "./titles.ts";
import { Withdraw } from "./withdraw.tsx";
import { visitOf } from "./sources.ts";
import "./entry.css";

interface EntryProps {
  readonly type: string;
  readonly id: string;
  readonly onClose: () => void;
}

/** An entry as a whole: in words, where it came from, its versions, what the patient says of it, and the way to its proof. */
export function EntryDialog({ type, id, onClose }: EntryProps): ReactElement {
  const { t } = useLingui();
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (dialog.current?.open === false) dialog.current.showModal();
  }, []);
  const read = useQuery({ queryKey: ["chart", patient, "entry", type, id], queryFn: () => node.history(type, id) });
  return (
    <dialog ref={dialog} className="entry-dialog" aria-labelledby="entry-title" onClose={onClose} onClick={(event) => event.target === dialog.current && dialog.current.close()}>
      <div className="inside">
        <form method="dialog"><button type="submit" className="quiet-button" aria-label={t`Close`}><Icon name="cross" /></button></form>
        {read.isPending ? <><h2 id="entry-title" className="unseen">{sayKind(type)}</h2><Loading /></> : null}
        {read.isError ? <><h2 id="entry-title" className="unseen">{sayKind(type)}</h2><Problem error={read.error} onRetry={() => void read.refetch()} /></> : null}
        {read.data === undefined ? null : <Whole versions={versionsOf(read.data)} reference={`${type}/${id}`} patient={patient} />}
      </div>
    </dialog>
  );
}

interface Version {
  readonly resource: FhirResource | undefined;
  readonly number: string;
  readonly stored: string;
}

/** Newest first; a deletion is a version without content. */
function versionsOf(bundle: Bundle): readonly Version[] {
  return (bundle.entry ?? []).map((one) => ({
    resource: one.resource,
    number: one.resource?.meta?.versionId ?? one.response?.etag?.replaceAll(/[^0-9]/g, "") ?? "",
    stored: one.resource?.meta?.lastUpdated ?? one.response?.lastModified ?? "",
  }));
}

interface WholeProps {
  readonly versions: readonly Version[];
  readonly reference: string;
  readonly patient: string;
}

function Whole({ versions, reference, patient }: WholeProps): ReactElement {
  const newest = versions[0]?.resource;
  if (newest === undefined) return <><h2 id="entry-title"><Trans>This entry was deleted</Trans></h2><Versions versions={versions} /></>;
  const isOwn = isPatientStated(newest);
  const isTest = newest.resourceType === "Observation";
  return (
    <>
      <p className="soft small kind">{sayKind(newest.resourceType)}</p>
      <h2 id="entry-title">{titleOf(newest)}</h2>
      {isTest && explainTest(newest.code) !== "" ? <p className="soft">{explainTest(newest.code)}</p> : null}
      <Facts facts={listFacts(newest)} />
      <Parts entry={newest} />
      <Documents entry={newest} />
      <Origin entry={newest} reference={reference} />
      <Statements reference={reference} patient={patient} />
      <Versions versions={versions} />
      <div className="row acts">
        {isOwn ? <Withdraw entry={newest} patient={patient} /> : <Link to="/app/add" state={{ wrong: reference }} className="button-plain"><Icon name="pencil" size={18} /> <Trans>This is wrong</Trans></Link>}
        <Link to="/app/proof" state={{ entry: reference }} className="button-plain"><Icon name="shield" size={18} /> <Trans>Check its proof</Trans></Link>
      </div>
    </>
  );
}

export function Facts({ facts }: { readonly facts: readonly Fact[] }): ReactElement {
  const { i18n } = useLingui();
  return (
    <dl className="facts">
      {facts.map((one) => (
        <div key={one.name.id}><dt>{i18n._(one.name)}</dt><dd>{one.value}</dd></div>
      ))}
    </dl>
  );
}

function Parts({ entry }: { readonly entry: FhirResource }): ReactElement | null {
  const parts = listParts(entry);
  if (parts.length === 0) return null;
  return (
    <table className="plain">
      <caption className="unseen"><Trans>Parts of this measurement</Trans></caption>
      <tbody>{parts.map(([name, value], at) => <tr key={at}><th scope="row">{name}</th><td>{value}</td></tr>)}</tbody>
    </table>
  );
}

interface Sealed {
  readonly block?: { readonly height: number; readonly time: number };
  readonly header?: { readonly author: string; readonly time: number };
}

/** Who made it, who put it in, and where it stands in the ledger. The visit speaks for an entry that does not. */
function Origin({ entry, reference }: { readonly entry: FhirResource; readonly reference: string }): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const version = entry.meta?.versionId ?? "";
  const visit = /^Encounter\/([A-Za-z0-9\-.]{1,64})$/.exec(visitOf(entry))?.[1];
  const own = findSource(entry);
  const around = useQuery({ queryKey: ["chart", patient, "visit", visit], queryFn: () => node.read<FhirResource>("Encounter", visit ?? ""), enabled: visit !== undefined && own.where === "" && !own.isPatient });
  const sealed = useQuery({
    queryKey: ["chart", patient, "receipt", reference, version],
    queryFn: async () => JSON.parse(new TextDecoder().decode(await node.file(`/receipts/${reference}/_history/${version}`))) as Sealed,
    retry: false,
  });
  const { who, where, isPatient } = findSource(entry, undefined, around.data);
  const from = joinWords([who, where], " · ");
  return (
    <section>
      <h3><Trans>Where it comes from</Trans></h3>
      <dl className="facts">
        <div><dt><Trans>Made by</Trans></dt><dd>{isPatient ? <Trans>You, not by a clinician</Trans> : from === "" ? <Trans>The entry does not say</Trans> : from}</dd></div>
        <div><dt><Trans>Put into your record</Trans></dt><dd>{sayMoment(entry.meta?.lastUpdated)}<Enterer author={sealed.data?.header?.author} patient={patient} /></dd></div>
        <div><dt><Trans>Sealed</Trans></dt><dd><Seal sealed={sealed.data} isWaiting={sealed.isPending} /></dd></div>
      </dl>
    </section>
  );
}

/** Whom the receipt names as the one who entered it. */
function Enterer({ author, patient }: { readonly author: string | undefined; readonly patient: string }): ReactElement | null {
  if (author === undefined || author === "") return null;
  if (author === `Patient/${patient}`) return <>, <Trans>by you</Trans></>;
  if (author === "careledger import") return <>, <Trans>taken over from a file of another system</Trans></>;
  return <>, <Trans>by {author}</Trans></>;
}

function Seal({ sealed, isWaiting }: { readonly sealed: Sealed | undefined; readonly isWaiting: boolean }): ReactElement {
  if (isWaiting) return <Trans>One moment…</Trans>;
  if (sealed?.block === undefined) return <span className="tag warn"><Trans>Not yet sealed in the ledger</Trans></span>;
  const when = sayMoment(new Date(sealed.block.time).toISOString());
  const height = sealed.block.height;
  return <><Icon name="check" size={16} /> <Trans>yes, the ledger as of block {height} ({when}) holds it</Trans></>;
}

/** What the patient said about this entry: it stands beside it, the entry stays as it was. */
function Statements({ reference, patient }: { readonly reference: string; readonly patient: string }): ReactElement | null {
  const { node } = usePresent();
  const read = useQuery({ queryKey: ["chart", patient, "statements"], queryFn: () => readStatements(node, patient) });
  const about = (read.data ?? []).filter((one) => (one.about ?? []).some((to) => to.reference === reference || to.reference?.startsWith(`${reference}/_history/`) === true));
  if (about.length === 0) return null;
  return (
    <section className="notice warn">
      <h3><Trans>You said about this entry</Trans></h3>
      {about.map((one) => <p key={one.id}>{wordsOf(one)} <span className="small">({sayMoment(one.sent)})</span></p>)}
    </section>
  );
}

function wordsOf(statement: Communication): string {
  return joinWords((statement.payload ?? []).map((one) => one.contentString), " ");
}

/** Former versions stay for good: what was written, and when. */
function Versions({ versions }: { readonly versions: readonly Version[] }): ReactElement {
  if (versions.length < 2) return <p className="soft small"><Trans>This entry has never been changed.</Trans></p>;
  return (
    <section>
      <h3><Trans>Versions</Trans></h3>
      <ol className="plain">
        {versions.map((one, at) => {
          const { number } = one;
          return (
            <li key={number}>
              <details>
                <summary>
                  <Trans>Version {number}</Trans> · {sayMoment(one.stored)}{at === 0 ? <> <span className="tag"><Trans>newest</Trans></span></> : null}
                </summary>
                {one.resource === undefined ? <p><Trans>The entry was deleted.</Trans></p> : <Facts facts={listFacts(one.resource)} />}
              </details>
            </li>
          );
        })}
      </ol>
    </section>
  );
}
