import { Trans } from "@lingui/react/macro";
import type { ReactElement } from "react";
import type { Judged } from "./judging.ts";
import type { Scanned } from "./sheet-code.ts";

/** What was scanned from a sheet, and which of its seals the checked receipts have shown. */
export function ScannedSheet({ scanned, judged }: { readonly scanned: Scanned; readonly judged: readonly Judged[] }): ReactElement {
  const shown = new Set(judged.flatMap((one) => (one.verdict.ok && one.seal !== "" ? [one.seal] : [])));
  const missing = scanned.seals.filter((seal) => !shown.has(seal)).length;
  const [found, all] = [scanned.seals.length - missing, scanned.seals.length];
  return (
    <section className="card stack">
      <h2><Trans>The sheet that you scanned</Trans></h2>
      <p><Trans>It bears {all} seals of the ledger <span className="mono">{scanned.chain}</span>, as it stood at checkpoint {scanned.size}. A seal alone proves nothing: choose the proof files that belong to it below.</Trans></p>
      <ul className="plain">{scanned.seals.map((seal) => <li key={seal} className="mono small">{seal} {shown.has(seal) ? <span className="tag good"><Trans>confirmed</Trans></span> : null}</li>)}</ul>
      {judged.length === 0 ? null : (
        <p className={`notice ${missing === 0 ? "good" : "warn"}`} role="status">
          {missing === 0 ? <Trans>Every seal on the sheet belongs to a genuine receipt among these files.</Trans> : <Trans>{found} of {all} seals on the sheet are confirmed by these files.</Trans>}
        </p>
      )}
    </section>
  );
}
