import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useRouterState } from "@tanstack/react-router";
import type { Bundle as FhirBundle, FhirResource } from "fhir/r4";
import { type FormEvent, type ReactElement, useEffect, useRef, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { splitReference } from "../../lib/history.ts";
import type { Node } from "../../lib/node.ts";
import { dateOf, joinWords, saySource, sayDate, sayKind } from "../../lib/words.ts";
import { composeEntry, identify, type Occasion } from "./composing.ts";
import { Documents } from "./documents.tsx";
import { Facts } from "./entry.tsx";
import { listFacts } from "./facts.ts";
import { FieldInput } from "./field.tsx";
import { checkFilled, completeChoices, CORRECTION, type Filled, type Form, FORMS } from "./forms.ts";
import { titleOf } from "./titles.ts";
import "./record.css";
import "./adding.css";

/** The patient's own word: an entry of their own, or a statement beside an entry that they say is wrong. */
export function Page(): ReactElement {
  const wrong = useRouterState({ select: (state) => state.location.state.wrong });
  const [form, setForm] = useState<Form | undefined>(undefined);
  const about = splitReference(wrong);
  return (
    <section className="record">
      {about !== undefined ? <Correcting type={about[0]} id={about[1]} /> : form === undefined ? <Choosing onChoose={setForm} /> : <Filling key={form.key} form={form} wrong="" onBack={() => setForm(undefined)} />}
    </section>
  );
}

function Choosing({ onChoose }: { readonly onChoose: (form: Form) => void }): ReactElement {
  const { i18n } = useLingui();
  return (
    <>
      <h1><Trans>Add or correct</Trans></h1>
      <p><Trans>What you add stands in your record with your name, beside what your clinicians write. Those who may read your record see it.</Trans></p>
      <ul className="plain choices">
        {FORMS.map((form) => (
          <li key={form.key}>
            <button type="button" className="choice" onClick={() => onChoose(form)}>
              <Icon name={form.icon} size={26} />
              <span><span className="title">{i18n._(form.name)}</span><span className="soft small">{i18n._(form.about)}</span></span>
            </button>
          </li>
        ))}
      </ul>
      <h2><Trans>Is something wrong in your record?</Trans></h2>
      <p><Trans>Open the entry in <Link to="/app/record">your record</Link> and choose “This is wrong”.</Trans></p>
    </>
  );
}

/** The entry is read first: what is said is about the version that was seen. */
function Correcting({ type, id }: { readonly type: string; readonly id: string }): ReactElement {
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const read = useQuery({ queryKey: ["chart", patient, "wrong", type, id], queryFn: () => node.read<FhirResource>(type, id) });
  if (read.isPending) return <Loading />;
  if (read.data === undefined) return <><h1><Trans>This is wrong</Trans></h1><Problem error={read.error} onRetry={() => void read.refetch()} /></>;
  const entry = read.data;
  const shown = (
    <div className="card">
      <p className="soft small">{joinWords([sayKind(type), sayDate(dateOf(entry)), saySource(entry)], " · ")}</p>
      <p className="strong">{titleOf(entry)}</p>
      <Facts facts={listFacts(entry).slice(0, 4)} />
    </div>
  );
  return <Filling form={CORRECTION} wrong={`${type}/${id}/_history/${entry.meta?.versionId ?? "1"}`} above={shown} />;
}

interface FillingProps {
  readonly form: Form;
  readonly wrong: string;
  readonly above?: ReactElement;
  readonly onBack?: () => void;
}

/** Fill in, look at what will stand in the record, keep it. A second try after a lost answer adds nothing twice. */
function Filling({ form, wrong, above, onBack }: FillingProps): ReactElement {
  const { i18n } = useLingui();
  const { node, session } = usePresent();
  const patient = patientOf(session);
  const queries = useQueryClient();
  const [filled, setFilled] = useState<Filled>(fillFirst);
  const [isChecked, setChecked] = useState(false);
  const [draft, setDraft] = useState<{ readonly entry: FhirResource; readonly occasion: Occasion } | undefined>(undefined);
  const heading = useRef<HTMLHeadingElement>(null);
  const keep = useMutation({
    mutationFn: (kept: { readonly entry: FhirResource; readonly occasion: Occasion }) => keepOnce(node, kept.entry, kept.occasion),
    onSuccess: () => void queries.invalidateQueries({ queryKey: ["chart", patient] }),
  });
  const step = keep.isSuccess ? "kept" : draft === undefined ? "fill" : "look";
  useEffect(() => {
    heading.current?.focus();
  }, [step]);
  const whole = completeChoices(form, filled);
  const wrongs = isChecked ? checkFilled(form, whole, Date.now()) : {};
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    setChecked(true);
    const [first] = Object.keys(checkFilled(form, whole, Date.now()));
    if (first !== undefined) {
      event.currentTarget.querySelector<HTMLElement>(`[name="${first}"]`)?.focus();
      return;
    }
    const occasion = { patient, nowMs: Date.now(), uuid: crypto.randomUUID(), wrong };
    setDraft({ entry: composeEntry(form.key, whole, occasion), occasion });
  };
  if (step === "kept") return <Kept heading={heading} isCorrection={wrong !== ""} />;
  return (
    <>
      <h1 ref={heading} tabIndex={-1}>{i18n._(form.name)}</h1>
      <p>{i18n._(form.about)}</p>
      {above}
      {draft === undefined ? (
        <form noValidate className="stack" onSubmit={submit}>
          {form.fields(whole).map((field) => (
            <FieldInput key={field.key} field={field} value={whole[field.key] ?? ""} problem={wrongs[field.key]} onChange={(value) => setFilled({ ...filled, [field.key]: value })} />
          ))}
          <div className="row">
            <Button type="submit" size="md"><Trans>Go on</Trans></Button>
            {onBack === undefined ? null : <Button variant="default" size="md" onClick={onBack}><Trans>Something else</Trans></Button>}
          </div>
        </form>
      ) : (
        <div className="stack">
          <h2><Trans>This will stand in your record</Trans></h2>
          <div className="card">
            <p className="soft small">{sayKind(draft.entry.resourceType)} · <Trans>added by you</Trans></p>
            <p className="strong">{titleOf(draft.entry)}</p>
            <Facts facts={listFacts(draft.entry)} />
            <Documents entry={draft.entry} />
          </div>
          <p className="soft"><Trans>You can take it back later; it then stays readable as taken back.</Trans></p>
          {keep.isError ? <Problem error={keep.error} /> : null}
          <div className="row">
            <Button size="md" loading={keep.isPending} onClick={() => keep.mutate(draft)}><Trans>Put it into my record</Trans></Button>
            <Button variant="default" size="md" disabled={keep.isPending} onClick={() => setDraft(undefined)}><Trans>Change it</Trans></Button>
          </div>
        </div>
      )}
    </>
  );
}

function Kept({ heading, isCorrection }: { readonly heading: React.Ref<HTMLHeadingElement>; readonly isCorrection: boolean }): ReactElement {
  return (
    <div className="stack">
      <h1 ref={heading} tabIndex={-1}><Trans>It is in your record</Trans></h1>
      <p className="notice good" role="status">
        {isCorrection ? <Trans>Your statement stands beside the entry now. To have the entry itself corrected, talk to whoever wrote it.</Trans> : <Trans>It was stored and is being sealed in the ledger. You see it in your record at once.</Trans>}
      </p>
      <p className="row">
        <Link to="/app/record" className="button-main"><Trans>To my record</Trans></Link>
      </p>
    </div>
  );
}

/** What begins filled in: it is now. */
function fillFirst(): Filled {
  const local = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  return { when: local };
}

/** FHIR's conditional create: if an answer was lost and it is tried again, the node finds the entry by its identifier. */
async function keepOnce(node: Node, entry: FhirResource, occasion: Occasion): Promise<void> {
  const { system, value } = identify(occasion);
  const request = { method: "POST" as const, url: entry.resourceType, ifNoneExist: `identifier=${system}|${value}` };
  const bundle: FhirBundle<FhirResource> = { resourceType: "Bundle", type: "transaction", entry: [{ resource: entry, request }] };
  await node.operate("", bundle);
}
