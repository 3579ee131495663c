import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { FhirResource } from "fhir/r4";
import { type ReactElement, useState } from "react";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import type { Node, Search } from "../../lib/node.ts";
import { dateOf, sayDate, sayKind, sayTitle } from "../../lib/words.ts";
import { compose, type Paper, Unconfirmed } from "./paper.ts";
import { ENTRIES_MAX } from "./sheet-code.ts";
import { Sheet } from "./sheet.tsx";

const TYPES = ["MedicationRequest", "Condition", "AllergyIntolerance", "Immunization", "DiagnosticReport", "Observation", "Encounter", "Procedure", "DocumentReference"] as const;
const NEWEST = 20;

/** The newest entries of each kind, in one request. */
async function list(node: Node, patient: string): Promise<readonly FhirResource[]> {
  const searches = TYPES.map((type): Search => ({ type, parameters: [["patient", patient], ["_sort", "-_lastUpdated"], ["_count", String(NEWEST)]] }));
  const found = (await node.searches(searches)).flatMap((page) => page.resources);
  return found.sort((a, b) => dateOf(b).localeCompare(dateOf(a)));
}

/** Choose entries; each one's receipt is fetched and checked by this browser; then a sheet to print or keep. */
export function CareReceipt(): ReactElement {
  const [isOpen, setOpen] = useState(false);
  return (
    <section className="card stack no-print">
      <h2><Trans>A care receipt on paper</Trans></h2>
      <p><Trans>A sheet with entries of your choice and the seals that prove them: for an insurer, an employer, a traveller's pocket. It shows only what you choose; the square code on it names nobody.</Trans></p>
      {isOpen ? <Choosing /> : <p><Button onClick={() => setOpen(true)}><Trans>Choose entries</Trans></Button></p>}
    </section>
  );
}

function Choosing(): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const query = useQuery({ queryKey: ["chart", patient, "receipt-entries"], queryFn: () => list(node, patient) });
  if (query.isPending) return <Loading />;
  if (query.isError) return <Problem error={query.error} onRetry={() => void query.refetch()} />;
  if (query.data.length === 0) return <Empty><p><Trans>There are no entries yet.</Trans></p></Empty>;
  return <Entries entries={query.data} />;
}

const keyOf = (entry: FhirResource): string => `${entry.resourceType}/${entry.id ?? ""}`;

function Entries({ entries }: { readonly entries: readonly FhirResource[] }): ReactElement {
  const { t } = useLingui();
  const { node, session } = usePresent();
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [paper, setPaper] = useState<Paper>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const wanted = text.trim().toLocaleLowerCase();
  const shown = entries.filter((entry) => chosen.has(keyOf(entry)) || `${sayTitle(entry)} ${sayKind(entry.resourceType)}`.toLocaleLowerCase().includes(wanted)).slice(0, 60);
  const toggle = (key: string): void => {
    setPaper(undefined);
    setChosen((before) => new Set(before.has(key) ? [...before].filter((one) => one !== key) : [...before, key]));
  };
  const make = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      setPaper(await compose(node, patientOf(session), entries.filter((entry) => chosen.has(keyOf(entry)))));
    } catch (failed) {
      setError(failed);
    }
    setBusy(false);
  };
  return (
    <>
      <label className="field"><Trans>Find an entry</Trans><input type="search" value={text} onChange={(event) => setText(event.target.value)} /></label>
      <ul className="plain rows chosen-entries" aria-label={t`Entries`} tabIndex={0}>
        {shown.map((entry) => (
          <li key={keyOf(entry)}>
            <label className="choice">
              <input type="checkbox" checked={chosen.has(keyOf(entry))} disabled={!chosen.has(keyOf(entry)) && chosen.size >= ENTRIES_MAX} onChange={() => toggle(keyOf(entry))} />
              <span>{sayTitle(entry)} <span className="soft small">{[sayKind(entry.resourceType), sayDate(dateOf(entry))].filter((part) => part !== "").join(" · ")}</span></span>
            </label>
          </li>
        ))}
      </ul>
      <p className="row">
        <Button disabled={chosen.size === 0} loading={isBusy} onClick={() => void make()}><Trans>Make the sheet</Trans></Button>
        <span className="soft small" role="status"><Trans>{chosen.size} of at most {ENTRIES_MAX} chosen</Trans></span>
      </p>
      {error instanceof Unconfirmed ? <p className="notice bad" role="alert"><Trans>This browser could not confirm a receipt, so it goes on no paper. Check your record under “Proof”.</Trans></p> : error === undefined ? null : <Problem error={error} />}
      {paper === undefined ? null : <Sheet paper={paper} />}
    </>
  );
}
