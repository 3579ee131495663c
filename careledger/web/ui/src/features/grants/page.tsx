import { Plural, Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactElement, useState } from "react";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { patientOf, usePresent } from "../../lib/context.ts";
import { takeWish } from "../../lib/wish.ts";
import { begin, Composer, type Form, replace } from "./composer.tsx";
import { DecisionCard } from "./decision.tsx";
import { type Decision, readDecisions, readGrantee, standingOf, todayOf } from "./decisions.ts";
import { KeyNotice } from "./key-notice.tsx";
import { prepare } from "./signing.ts";
import { nameOf } from "./words.tsx";
import "./grants.css";

/** My decisions: who may see what, in words; new ones, seen before they are signed; withdrawn by one tap. */
export function Page(): ReactElement {
  const { node, session, house } = usePresent();
  const patient = patientOf(session);
  const queries = useQueryClient();
  const decided = useQuery({ queryKey: ["chart", patient, "consents"], queryFn: ({ signal }) => readDecisions(node, patient, signal) });
  const prepared = useQuery({ queryKey: ["grants", patient, "prepare"], queryFn: () => prepare(node, patient, undefined), staleTime: 60_000 });
  const [form, setForm] = useState<Form | undefined>(() => {
    const wished = takeWish();
    return wished === undefined ? undefined : begin(wished.effect, wished, Date.now());
  });
  if (decided.isPending || prepared.isPending) return <Loading />;
  if (decided.isError) return <Problem error={decided.error} onRetry={() => void decided.refetch()} />;
  if (prepared.isError) return <Problem error={prepared.error} onRetry={() => void prepared.refetch()} />;
  const all = decided.data.directives;
  const today = todayOf(Date.now());
  const custodian = `did:careledger:${prepared.data.organisation}`;
  const { credential } = prepared.data;
  const isOpen = (one: Decision): boolean => ["holds", "later"].includes(standingOf(one, all, today));
  const done = (): void => {
    setForm(undefined);
    void queries.invalidateQueries({ queryKey: ["chart", patient, "consents"] });
  };
  const change = (one: Decision): void => {
    const grantee = readGrantee(one.grantees[0] ?? "");
    if (grantee !== undefined && grantee.kind !== "client") setForm(replace(one, { kind: grantee.kind, value: grantee.value, name: nameOf(grantee, one.names ?? {}) }, Date.now()));
    scrollTo({ top: 0 });
  };
  const card = (one: Decision): ReactElement => <DecisionCard key={one.id} one={one} all={all} patient={patient} house={custodian} credential={credential} today={today} onDone={done} onReplace={change} />;
  const [open, ended] = [all.filter(isOpen), all.filter((one) => !isOpen(one))];
  return (
    <div className="grants">
      <div>
        <h1><Trans>Sharing</Trans></h1>
        <p className="soft narrow"><Trans>Without a decision of yours, the people of {house.name} may see the record for your care, its payment and running the house, and nobody else anything. Here you change that.</Trans></p>
      </div>
      <KeyNotice hasKey={decided.data.key !== ""} hasPasskey={credential !== ""} />
      {form !== undefined ? <Composer form={form} onForm={setForm} all={all} patient={patient} house={custodian} onDone={done} onClose={() => setForm(undefined)} /> : (
        <p className="row">
          <Button onClick={() => setForm(begin("permit", undefined, Date.now()))}><Trans>Allow somebody</Trans></Button>
          <Button variant="light" onClick={() => setForm(begin("deny", undefined, Date.now()))}><Trans>Refuse somebody</Trans></Button>
        </p>
      )}
      <h2><Trans>What I have decided</Trans></h2>
      {open.length === 0 ? <Empty><p><Trans>You have not decided anything: the rule above holds.</Trans></p></Empty> : <ul className="plain stack">{[...open].reverse().map(card)}</ul>}
      {ended.length === 0 ? null : (
        <details>
          <summary><Plural value={ended.length} one="# decision that holds no longer" other="# decisions that hold no longer" /></summary>
          <ul className="plain stack">{[...ended].reverse().map(card)}</ul>
        </details>
      )}
      <p className="small"><Trans>Programs that you let in (apps) are under <a href="/me">My account</a>; there you end their access too.</Trans></p>
    </div>
  );
}
