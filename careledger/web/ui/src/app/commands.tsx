import { useLingui } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, type ReactElement, useEffect, useMemo, useRef, useState } from "react";
import { findPatients, type PatientRow, rememberChart } from "../lib/patients.ts";
import { useBeginning } from "./beginning-context.ts";
import { placesOf } from "./places.ts";
import "./commands.css";

interface Command {
  readonly key: string;
  readonly name: string;
  readonly run: () => void;
}

const WAIT_MS = 200;
const LETTERS_MIN = 2;

/** Pages, patients and help by a few letters; arrows choose, Enter goes, Escape closes. */
export function Commands({ onClose }: { readonly onClose: () => void }): ReactElement {
  const { t, i18n } = useLingui();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const dialog = useRef<HTMLDialogElement>(null);
  const navigate = useNavigate();
  const { session } = useBeginning();
  const patients = usePatients(text);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const pages = useMemo(() => placesOf(session?.kind ?? "anybody").filter((place) => place.rank !== "hidden"), [session]);
  const wanted = text.trim().toLocaleLowerCase();
  const found: Command[] = [
    ...patients.map((one) => ({
      key: one.id,
      name: `${one.name} · ${one.born}`,
      run: () => { rememberChart(one.id); void navigate({ to: "/app/chart" }); },
    })),
    ...pages
      .map((place) => ({ key: place.path, name: i18n._(place.name), run: () => void navigate({ to: place.path }) }))
      .filter((one) => one.name.toLocaleLowerCase().includes(wanted)),
  ];
  const chosen = Math.min(at, found.length - 1);
  const go = (command: Command | undefined): void => {
    if (command === undefined) return;
    onClose();
    command.run();
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setAt(Math.min(chosen + 1, found.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(chosen - 1, 0));
    else if (event.key === "Enter") go(found[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={dialog} className="commands" aria-label={t`Go to`} onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <input role="combobox" aria-expanded="true" aria-controls="commands" aria-activedescendant={`command-${chosen}`} aria-label={t`Go to`} placeholder={session?.kind === "clinician" ? t`A patient's name, or a page` : t`A page`} value={text} autoFocus onChange={(event) => { setText(event.target.value); setAt(0); }} onKeyDown={press} />
      <ul id="commands" role="listbox" aria-label={t`Found`}>
        {found.map((command, index) => (
          <li key={command.key} id={`command-${index}`} role="option" aria-selected={index === chosen} onClick={() => go(command)}>{command.name}</li>
        ))}
      </ul>
    </dialog>
  );
}

/** Patients of that name, for a clinician: looked up as any search is, and logged. */
function usePatients(text: string): readonly PatientRow[] {
  const { session, node } = useBeginning();
  const [found, setFound] = useState<readonly PatientRow[]>([]);
  useEffect(() => {
    if (session?.kind !== "clinician" || node === null || text.trim().length < LETTERS_MIN) {
      setFound([]);
      return undefined;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => void findPatients(node, text.trim(), 8, stop.signal).then(setFound, () => setFound([])), WAIT_MS);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [text, session, node]);
  return found;
}
