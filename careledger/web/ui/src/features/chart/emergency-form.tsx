import { Trans, useLingui } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactElement, useEffect, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { rememberChart } from "../../lib/patients.ts";
import { breakGlass, type Emergency, foldReason, putAway, REASON_MAX, REASON_MIN, sayLeft } from "./emergency.ts";
import { Sheet } from "./sheet.tsx";

/** Break-glass: a reason, what it costs, and the chart opens. Without `patient` its record number is asked for too. */
export function EmergencyForm({ patient, onDone }: { readonly patient: string; readonly onDone?: () => void }): ReactElement {
  const { t } = useLingui();
  const { node } = usePresent();
  const navigate = useNavigate();
  const [chosen, setChosen] = useState("");
  const [words, setWords] = useState("");
  const [number, setNumber] = useState(patient);
  const reason = foldReason(chosen, words);
  const other = t`Another emergency (say which)`;
  const isShort = reason.length < REASON_MIN || chosen === "" || (chosen === other && words.trim().length < REASON_MIN);
  const breaking = useMutation({
    mutationFn: () => breakGlass(node, number.trim(), reason.slice(0, REASON_MAX)),
    onSuccess: (begun) => {
      rememberChart(begun.patient);
      onDone?.();
      void navigate({ to: "/app/chart", state: { chart: begun.patient, emergency: begun.untilMs }, replace: patient !== "" });
    },
  });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (!isShort && number.trim() !== "") breaking.mutate();
  };
  return (
    <form onSubmit={submit}>
      <p className="notice warn"><Trans>This opens the whole chart to you for some hours, also what the patient has closed. <strong>It is logged with your name and your reason, the patient sees it, and it is reviewed.</strong></Trans></p>
      {patient !== "" ? null : (
        <label className="field"><Trans>Record number of the patient</Trans>
          <input value={number} required maxLength={64} autoComplete="off" spellCheck={false} onChange={(event) => setNumber(event.target.value)} />
        </label>
      )}
      <fieldset>
        <legend><Trans>Why (needed)</Trans></legend>
        {[t`Life or limb is in danger`, t`The patient cannot answer`, t`I need what is closed to treat safely now`, other].map((one) => (
          <label key={one}><input type="radio" name="reason" checked={chosen === one} onChange={() => setChosen(one)} /> {one}</label>
        ))}
      </fieldset>
      <label className="field"><Trans>In your words</Trans>
        <textarea rows={2} value={words} maxLength={REASON_MAX - 60} onChange={(event) => setWords(event.target.value)} />
      </label>
      {breaking.isError ? <Problem error={breaking.error} /> : null}
      <Button type="submit" color="red" disabled={isShort || number.trim() === ""} loading={breaking.isPending}><Trans>Open in an emergency</Trans></Button>
    </form>
  );
}

/** The button that leads to the form, in a sheet. */
export function EmergencyButton({ patient }: { readonly patient: string }): ReactElement {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="quiet-button no-print" onClick={() => setOpen(true)}><Icon name="warning" size={18} /> <Trans>Emergency access</Trans></button>
      {isOpen ? <Sheet title={<Trans>Emergency access</Trans>} onClose={() => setOpen(false)}><EmergencyForm patient={patient} onDone={() => setOpen(false)} /></Sheet> : null}
    </>
  );
}

/** For who searches in vain: a chart that is closed is not found, but opens by its number in an emergency. */
export function Unlisted(): ReactElement {
  return (
    <div className="row soft small no-print">
      <span><Trans>Not in the list, and it is an emergency? A closed chart opens by its record number.</Trans></span>
      <EmergencyButton patient="" />
    </div>
  );
}

/** While the box holds: how long yet, and a way to put it away before. */
export function Countdown({ emergency }: { readonly emergency: Emergency }): ReactElement {
  const { t } = useLingui();
  const navigate = useNavigate();
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const end = (): void => {
    putAway(emergency.patient);
    void navigate({ to: "/app/chart", replace: true, state: { chart: emergency.patient } });
  };
  return (
    <div className="notice bad row apart countdown" role="region" aria-label={t`Emergency access`}>
      <span><Icon name="warning" size={18} /> <strong><Trans>Emergency access.</Trans></strong> <Trans>Everything is open to you; each look is logged as an emergency, and the patient sees it.</Trans></span>
      <span className="row"><span role="timer" className="strong"><Trans>{sayLeft(emergency.untilMs - nowMs)} left</Trans></span>
        <button type="button" className="quiet-button" onClick={end}><Trans>I do not need it any more</Trans></button></span>
    </div>
  );
}
