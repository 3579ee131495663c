import { useLocation, useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useSyncExternalStore } from "react";
import { openChart, type PatientRow, rememberChart, watchChart } from "../../lib/patients.ts";

declare module "@tanstack/react-router" {
  interface HistoryState {
    /** The id of the patient whose chart this history entry shows. Never a part of the address. */
    chart?: string;
    /** Until when an emergency access to it holds, in ms; also after the page was loaded anew. */
    emergency?: number;
  }
}

/** The chart that is open: the history entry's own, so that back and forward lead where they led; else this tab's. "" for none. */
export function useOpenChart(): string {
  const remembered = useSyncExternalStore(watchChart, openChart);
  const navigate = useNavigate();
  const { state } = useLocation();
  const kept = state.chart;
  // A new history entry decides; a change of memory alone does not.
  useEffect(() => {
    if (kept !== undefined && kept !== openChart()) rememberChart(kept);
  }, [kept, state.key]);
  useEffect(() => {
    if (kept === undefined && remembered !== "") void navigate({ to: "/app/chart", replace: true, state: { chart: remembered } });
  }, [kept, remembered, navigate]);
  return kept ?? remembered;
}

/** Opens a chart: in memory and in the history entry's state; the address says nothing. */
export function useOpen(): (row: PatientRow) => void {
  const navigate = useNavigate();
  return useCallback((row) => {
    rememberRecent(row);
    rememberChart(row.id);
    void navigate({ to: "/app/chart", state: { chart: row.id } });
  }, [navigate]);
}

/** So many patients the list of those just seen holds. */
const RECENT_MAX = 8;
let recent: readonly PatientRow[] = [];

/** The patients whose charts were opened in this tab, the last one first. In memory: a closed tab has none. */
export function recentPatients(): readonly PatientRow[] {
  return recent;
}

/** This patient was just seen. */
export function rememberRecent(row: PatientRow): void {
  recent = [row, ...recent.filter((one) => one.id !== row.id)].slice(0, RECENT_MAX);
}
