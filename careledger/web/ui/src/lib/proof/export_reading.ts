/** An export, opened: its form, and what both of its logs say by themselves. */

import { type AccessLog, readAccesses } from "./accesses.ts";
import { type Chart, makeChart, readEntries } from "./charts.ts";
import { ACCESS_LOG, CHART, type ExportFile } from "./export_forms.ts";
import { EXPORT_MAX, readCanonical } from "./forms.ts";
import { readSigned } from "./ledger.ts";
import { field, type Trust } from "./trust.ts";

/** An export whose leaves have been computed; nothing is signed yet. */
export interface Opened {
  readonly file: ExportFile;
  /** Empty in an access-log export. */
  readonly chart: Chart;
  readonly accesses: AccessLog;
  /** Of the record log. */
  readonly size: number;
}

/** The export's record log, if its leaves are there, and its access log. */
export async function openExport(data: Uint8Array, mode: Trust["mode"]): Promise<Opened> {
  const value = readCanonical(data, "export", EXPORT_MAX);
  if (field(value, "format") === "careledger/access-log/1") {
    const form = ACCESS_LOG(value, "export");
    const file = { ...form, signed: readSigned(form.signed, mode, "export.signed") };
    return { file, chart: makeChart(), accesses: readAccesses(file), size: file.head.size };
  }
  const form = CHART(value, "export");
  const file = { ...form, signed: readSigned(form.signed, mode, "export.signed") };
  const chart = await readEntries(file);
  return { file, chart, accesses: readAccesses(file), size: chart.leaves.length };
}
