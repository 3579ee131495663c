import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type DragEvent, type ReactElement, useState } from "react";
import type { Facts } from "../../lib/proof/answering.ts";
import type { ExportFacts, ReceiptFacts } from "../../lib/proof/index.ts";
import { sayCount, sayTime } from "../../lib/words.ts";
import { type Chosen, judge, type Judged, readChosen } from "./judging.ts";
import { SealedCopy } from "./sealed-copy.tsx";
import { ScannedSheet } from "./scanned.tsx";
import { readCode } from "./sheet-code.ts";
import { ExportFactsList, Raw, ReceiptFactsList, Refused, Sentence } from "./verdict.tsx";

/** Proof files of anybody, checked by this browser alone: nothing is sent anywhere, and no network is needed. */
export function Files(): ReactElement {
  const [files, setFiles] = useState<readonly Chosen[]>([]);
  const [judged, setJudged] = useState<readonly Judged[]>();
  const [isBusy, setBusy] = useState(false);
  const trust = files.filter((file) => file.kind === "checkpoint").at(-1);
  const sealed = files.filter((file) => file.kind === "sealed");
  const others = files.filter((file) => file.kind !== "checkpoint" && file.kind !== "sealed");
  const take = (read: readonly Chosen[]): void => {
    setJudged(undefined);
    setFiles((before) => [...before.filter((old) => !read.some((one) => one.name === old.name)), ...read]);
  };
  const add = async (chosen: Iterable<File>): Promise<void> => take(await Promise.all([...chosen].map(readChosen)));
  const check = async (): Promise<void> => {
    if (trust === undefined) return;
    setBusy(true);
    setJudged(await judge(others, trust.data).finally(() => setBusy(false)));
  };
  const [scanned] = useState(() => readCode(location.hash));
  const hasProof = others.some((file) => file.kind !== "unknown");
  return (
    <>
      {scanned === undefined ? null : <ScannedSheet scanned={scanned} judged={judged ?? []} />}
      <section className="card stack">
        <h2><Trans>A proof file that you were given</Trans></h2>
        <p><Trans>Choose the proof (a receipt or a copy of a record) and the trust file of its ledger. Your browser checks them by itself: nothing leaves this device.</Trans></p>
        <Drop onFiles={(chosen) => void add(chosen)} />
        {files.length === 0 ? null : <ChosenFiles files={files} onForget={(name) => { setJudged(undefined); setFiles(files.filter((file) => file.name !== name)); }} />}
        {sealed.map((file) => <SealedCopy key={file.name} name={file.name} data={file.data} onOpen={take} />)}
        {files.length > 0 && trust === undefined ? <p className="notice warn"><Trans>The trust file is missing: it says which ledger you believe. Ask whoever gave you the proof, or better somebody independent; on this site it is under “Download and print”.</Trans></p> : null}
        {trust !== undefined && !hasProof && sealed.length === 0 ? <p className="notice warn"><Trans>Now choose the proof as well.</Trans></p> : null}
        <p><Button disabled={trust === undefined || !hasProof} loading={isBusy} onClick={() => void check()}><Trans>Check</Trans></Button></p>
        {judged?.map((one) => <Verdict key={one.name} judged={one} />)}
      </section>
    </>
  );
}

function Drop({ onFiles }: { readonly onFiles: (files: Iterable<File>) => void }): ReactElement {
  const { t } = useLingui();
  const [isOver, setOver] = useState(false);
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    onFiles(event.dataTransfer.files);
  };
  return (
    <div className={isOver ? "drop over" : "drop"} onDragOver={(event) => { event.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)} onDrop={drop}>
      <label className="field"><Trans>Files (several at once, or drop them here)</Trans>
        <input type="file" multiple aria-label={t`Proof files and trust file`} onChange={(event) => { if (event.target.files !== null) onFiles([...event.target.files]); event.target.value = ""; }} />
      </label>
    </div>
  );
}

function ChosenFiles({ files, onForget }: { readonly files: readonly Chosen[]; readonly onForget: (name: string) => void }): ReactElement {
  const { t } = useLingui();
  const kinds = { receipt: t`receipt`, chart: t`copy of a record`, "access-log": t`copy of a log of looks`, checkpoint: t`trust file`, sealed: t`sealed copy`, unknown: t`no proof (perhaps the record itself)` };
  return (
    <ul className="plain rows">
      {files.map((file) => (
        <li key={file.name} className="row apart">
          <span><span className="mono">{file.name}</span> <span className="tag">{kinds[file.kind]}</span></span>
          <button type="button" className="quiet-button bordered" aria-label={t`Take ${file.name} away`} onClick={() => onForget(file.name)}>×</button>
        </li>
      ))}
    </ul>
  );
}

function Verdict({ judged }: { readonly judged: Judged }): ReactElement {
  const { verdict, name, tookMs } = judged;
  return (
    <div className="stack">
      <h3 className="mono">{name}</h3>
      {verdict.ok ? <Sentence isGood><Good facts={verdict} hasEarlier={judged.hasEarlier} /></Sentence> : <Refused refusal={verdict} />}
      <details>
        <summary><Trans>Details</Trans></summary>
        {!verdict.ok ? <p className="small mono">{verdict.code}: {verdict.sentence}</p> : isReceipt(verdict) ? <ReceiptFactsList facts={verdict} /> : isExport(verdict) ? <ExportFactsList facts={verdict} /> : null}
        <p className="small soft"><Trans>Checked here in {sayCount(Math.round(tookMs))} ms.</Trans></p>
        <Raw value={verdict} />
      </details>
    </div>
  );
}

function Good({ facts, hasEarlier }: { readonly facts: Facts; readonly hasEarlier: boolean }): ReactElement {
  if (isReceipt(facts)) return <Trans>Genuine: this entry stood in the record on {sayTime(facts.asOf.timeMs, "long")} and has not been altered.</Trans>;
  if (!isExport(facts)) return <Trans>Genuine.</Trans>;
  return hasEarlier ? (
    <Trans>Genuine and complete: {sayCount(facts.entryCount)} entries, and nothing was removed or altered since the earlier copy.</Trans>
  ) : (
    <Trans>Genuine and complete: {sayCount(facts.entryCount)} entries, as of {sayTime(facts.asOf.timeMs, "long")}.</Trans>
  );
}

function isReceipt(facts: Facts): facts is ReceiptFacts {
  return "chartSize" in facts;
}

function isExport(facts: Facts): facts is ExportFacts {
  return "entryCount" in facts;
}
