import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import type { ReactElement } from "react";
import { createPortal } from "react-dom";
import { usePresent } from "../../lib/context.ts";
import { sayCount, sayKind, sayTime } from "../../lib/words.ts";
import type { Line, Paper } from "./paper.ts";
import { type Text, writePdf } from "./pdf.ts";
import { Qr, squaresOf } from "./qr.tsx";
import { save } from "./saving.ts";
import { explain, NAMES } from "./taking.ts";
import { pack } from "./zip.ts";

const QR_POINTS = 190;

/** The sheet, as it will be printed, and the ways to keep it. */
export function Sheet({ paper }: { readonly paper: Paper }): ReactElement {
  const { t } = useLingui();
  const { house } = usePresent();
  const texts = useTexts(paper);
  const pdf = (): void => save("careledger-receipt.pdf", writePdf(texts, squaresOf(paper.code), QR_POINTS), "application/pdf");
  const proofs = (): void => {
    const files = paper.lines.map((line, index) => ({ name: `receipt-${index + 1}.json`, data: line.receipt }));
    const readme = explain(house.name, [t`Receipts of the entries on the sheet, and the trust file: choose them on the page “Proof” of any CareLedger, or use careledger verify.`]);
    save("careledger-receipts.zip", pack([...files, { name: NAMES.trust, data: paper.ground.trust }, { name: "README.txt", data: readme }]), "application/zip");
  };
  const sheet = (
    <article className="sheet" aria-label={t`The sheet`}>
      <p className="title">{t`Care receipt`}</p>
      <p><b>{paper.whose}</b> · {house.name} · {sayTime(Math.max(...paper.lines.map((line) => line.facts.asOf.timeMs)), "long")}</p>
      <ol>{paper.lines.map((line) => <Entry key={line.seal} line={line} />)}</ol>
      <div className="ground">
        <Qr text={paper.code} label={t`Square code with the seals and the ledger's checkpoint`} />
        <p className="small"><Ground paper={paper} /></p>
      </div>
    </article>
  );
  return (
    <div className="stack">
      <p className="row">
        <Button onClick={pdf}><Trans>Save as PDF</Trans></Button>
        <Button variant="light" onClick={() => print()}><Trans>Print</Trans></Button>
        <Button variant="light" onClick={proofs}><Trans>Save the proof files for it</Trans></Button>
      </p>
      {sheet}
      {createPortal(<div className="print-only">{sheet}</div>, document.body)}
    </div>
  );
}

function Entry({ line }: { readonly line: Line }): ReactElement {
  const { facts } = line;
  return (
    <li>
      <b>{line.title}</b> <span>{[sayKind(line.kind), line.date].filter((part) => part !== "").join(" · ")}</span>
      <div className="small"><Trans>Recorded on {sayTime(facts.time, "long")} by {facts.author}; entry {sayCount(facts.index + 1)} of {sayCount(facts.chartSize)}, version {facts.version}.</Trans></div>
      <div className="small mono"><Trans>Seal</Trans>: {line.seal}</div>
    </li>
  );
}

function Ground({ paper }: { readonly paper: Paper }): ReactElement {
  const { ground } = paper;
  return (
    <Trans>These seals stand in the ledger {ground.chain}, checkpoint {ground.size}, root {ground.root}. Scan the code, or open {location.origin}/app/proof, and choose the proof files: any browser checks them by itself. The code names nobody.</Trans>
  );
}

/** The same words for the PDF. */
function useTexts(paper: Paper): readonly Text[] {
  const { t } = useLingui();
  const { house } = usePresent();
  const { ground } = paper;
  const asOf = sayTime(Math.max(...paper.lines.map((line) => line.facts.asOf.timeMs)), "long");
  const entries = paper.lines.flatMap((line): readonly Text[] => {
    const { facts } = line;
    const recorded = sayTime(facts.time, "long");
    const [place, size] = [sayCount(facts.index + 1), sayCount(facts.chartSize)];
    return [
      { text: [line.title, sayKind(line.kind), line.date].filter((part) => part !== "").join(" · "), size: 11, isBold: true, above: 8 },
      { text: t`Recorded on ${recorded} by ${facts.author}; entry ${place} of ${size}, version ${facts.version}.`, size: 9 },
      { text: `${t`Seal`}: ${line.seal}`, size: 8 },
    ];
  });
  const address = `${location.origin}/app/proof`;
  return [
    { text: t`Care receipt`, size: 20, isBold: true },
    { text: `${paper.whose} · ${house.name} · ${asOf}`, size: 12, above: 4 },
    ...entries,
    { text: t`These seals stand in the ledger ${ground.chain}, checkpoint ${ground.size}, root ${ground.root}. Scan the code, or open ${address}, and choose the proof files: any browser checks them by itself. The code names nobody.`, size: 9, above: 14 },
  ];
}
