import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactElement, useMemo, useState } from "react";
import { Loading, Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { type Draft, type Prepared, type Terms } from "../../lib/directives.ts";
import { locale } from "../../lib/i18n.ts";
import { Failure } from "./failure.tsx";
import { draft, grant, type Granted, prepare } from "./signing.ts";

interface Props {
  readonly terms: Terms;
  readonly patient: string;
  readonly name: string;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

/** The lines that are signed, and the gesture. The text on this page is the text in the signature: nothing else is signed. */
export function Signing({ terms, patient, name, onDone, onClose }: Props): ReactElement {
  const { node } = usePresent();
  const query = useQuery({ queryKey: ["grants", patient, "prepare", terms], queryFn: () => prepare(node, patient, terms), staleTime: Infinity, gcTime: 0 });
  if (query.isPending) return <Loading />;
  if (query.isError) return <Problem error={query.error} onRetry={() => void query.refetch()} />;
  return <Lines terms={terms} prepared={query.data} patient={patient} name={name} onDone={onDone} onClose={onClose} />;
}

type State = { readonly name: "reading" } | { readonly name: "busy"; readonly seconds: number } | { readonly name: "failed"; readonly error: unknown } | { readonly name: "done"; readonly granted: Granted };

function Lines({ terms, prepared, patient, name, onDone, onClose }: Props & { readonly prepared: Prepared }): ReactElement {
  const { node } = usePresent();
  const [state, setState] = useState<State>({ name: "reading" });
  const made: Draft = useMemo(() => draft(terms, prepared, locale()), [terms, prepared]);
  const signIt = async (): Promise<void> => {
    setState({ name: "busy", seconds: 0 });
    try {
      const granted = await grant(node, patient, made, prepared, (seconds) => setState({ name: "busy", seconds }));
      setState({ name: "done", granted });
    } catch (error) {
      setState({ name: "failed", error });
    }
  };
  if (state.name === "done") return <Done granted={state.granted} onDone={onDone} />;
  return (
    <div className="stack">
      <h3><Trans>This is what you sign, word for word</Trans></h3>
      <pre className="signed" lang={made.language}>{made.shown}</pre>
      <p className="soft small"><Trans>Your passkey signs exactly these lines ({name}). What you decide holds as soon as it is handed in, and stands in your record.</Trans></p>
      {prepared.credential === "" ? <p className="notice warn"><Trans>No passkey of yours is the key of your decisions yet: see above. Nothing can be signed here until then.</Trans></p> : null}
      {state.name === "failed" ? <Failure error={state.error} /> : null}
      <p role="status">{state.name === "busy" && state.seconds > 0 ? <Trans>Signed. It is handed in within {state.seconds} seconds, so that nobody can tell from the ledger when you decided. Leave this page open.</Trans> : null}</p>
      <p className="row">
        <Button disabled={prepared.credential === ""} loading={state.name === "busy"} onClick={() => void signIt()}><Trans>Sign with my passkey</Trans></Button>
        <Button variant="subtle" onClick={onClose}><Trans>Leave it</Trans></Button>
      </p>
    </div>
  );
}

function Done({ granted, onDone }: { readonly granted: Granted; readonly onDone: () => void }): ReactElement {
  const code = (granted.code.match(/.{8}/g) ?? []).join("-");
  return (
    <div className="stack">
      {granted.isHers ? <p className="notice good" role="status"><Trans>It holds now. The ledger has it under your key.</Trans></p> : (
        <p className="notice bad" role="alert"><Trans>The ledger does not show this decision under your key. Check your record under “Proof”, and ask the house.</Trans></p>
      )}
      <p><Trans>Keep this code on paper: with it you can withdraw the decision even if you lose your passkey. It is shown only now.</Trans></p>
      <p className="mono code">{code}</p>
      <p className="row no-print">
        <Button variant="light" onClick={() => print()}><Trans>Print</Trans></Button>
        <Button onClick={onDone}><Trans>I have kept it</Trans></Button>
      </p>
    </div>
  );
}
