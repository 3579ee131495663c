import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { type ReactElement, useEffect, useState } from "react";
import { usePresent } from "../../lib/context.ts";
import type { Wish } from "../../lib/wish.ts";
import { type Candidate, findStaff, listLooked, listOrganisations } from "./people.ts";

export type Whom = Pick<Wish, "kind" | "value" | "name">;

const LETTERS_MIN = 2;
const WAIT_MS = 250;

/** Whom it is about: who looked lately, staff by name, organisations of the ledger, or a role. */
export function Choosing({ patient, house, whom, onWhom }: { readonly patient: string; readonly house: string; readonly whom: Whom | undefined; readonly onWhom: (whom: Whom | undefined) => void }): ReactElement {
  if (whom !== undefined) {
    return (
      <>
        <div className="row apart">
          <p><span className="soft"><Trans>Whom</Trans>: </span><span className="strong">{whom.name}</span>{whom.kind === "role" ? <span className="soft"> (<Trans>role</Trans>)</span> : null}</p>
          <button type="button" className="quiet-button bordered" onClick={() => onWhom(undefined)}><Trans>Somebody else</Trans></button>
        </div>
        {whom.kind === "role" ? <p className="notice warn"><Trans>This counts only for those to whom their house gave a role of exactly this name. Whether anybody has it cannot be seen here: ask the house what it calls the role, or choose the person or the organisation.</Trans></p> : null}
      </>
    );
  }
  return <Search patient={patient} house={house} onWhom={onWhom} />;
}

function Search({ patient, house, onWhom }: { readonly patient: string; readonly house: string; readonly onWhom: (whom: Whom) => void }): ReactElement {
  const { t } = useLingui();
  const { node } = usePresent();
  const [text, setText] = useState("");
  const looked = useQuery({ queryKey: ["grants", patient, "looked"], queryFn: () => listLooked(node, patient, house), staleTime: 60_000 });
  const organisations = useQuery({ queryKey: ["grants", "organisations"], queryFn: () => listOrganisations(node, house), staleTime: 60_000 });
  const staff = useStaff(text);
  const wanted = text.trim().toLocaleLowerCase();
  const known = [...(looked.data ?? []), ...(organisations.data ?? [])].filter((one) => one.name.toLocaleLowerCase().includes(wanted));
  const found = [...new Map([...known, ...staff].map((one) => [`${one.kind} ${one.value}`, one])).values()];
  const notes: Readonly<Record<Candidate["note"], string>> = { looked: t`looked at your record`, staff: t`works here`, organisation: t`organisation`, house: t`everybody of this house` };
  return (
    <div className="stack">
      <label className="field"><Trans>Whom is it about? A name, an organisation or a role</Trans>
        <input type="search" value={text} autoComplete="off" onChange={(event) => setText(event.target.value)} placeholder={t`for example: Osei`} />
      </label>
      <ul className="plain candidates" aria-label={t`Found`}>
        {found.slice(0, 12).map((one) => (
          <li key={`${one.kind} ${one.value}`}>
            <button type="button" className="quiet-button bordered" onClick={() => onWhom(one)}>{one.name} <span className="soft small">{notes[one.note]}</span></button>
          </li>
        ))}
        {text.trim().length < LETTERS_MIN ? null : (
          <li><button type="button" className="quiet-button bordered" onClick={() => onWhom({ kind: "role", value: text.trim(), name: text.trim() })}><Trans>Everybody in the role “{text.trim()}”</Trans></button></li>
        )}
      </ul>
      <p role="status" className="unseen">{found.length}</p>
    </div>
  );
}

function useStaff(text: string): readonly Candidate[] {
  const { node } = usePresent();
  const [found, setFound] = useState<readonly Candidate[]>([]);
  useEffect(() => {
    if (text.trim().length < LETTERS_MIN) {
      setFound([]);
      return undefined;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => void findStaff(node, text.trim(), stop.signal).then(setFound, () => setFound([])), WAIT_MS);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [text, node]);
  return found;
}
