import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type ReactElement, useState } from "react";
import type { ExportFacts, Verdict } from "../../lib/proof/index.ts";
import { sayCount } from "../../lib/words.ts";
import { type Kept, nameOf, open } from "./keeping.ts";
import { save } from "./saving.ts";
import { ExportFactsList, Refused, Sentence } from "./verdict.tsx";
import { verify } from "./verifier.ts";

/** The sealed copy is opened and checked on this device alone: no network is needed. */
export function Offline({ patient, kept }: { readonly patient: string; readonly kept: Kept }): ReactElement {
  const [verdict, setVerdict] = useState<Verdict<ExportFacts>>();
  const opened = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    const sealed = kept.export;
    return sealed === undefined ? undefined : await open(await nameOf(patient), sealed).catch(() => undefined);
  };
  const check = async (): Promise<void> => {
    const file = await opened();
    if (file === undefined) setVerdict({ ok: false, code: "not-json", sentence: "the seal of the kept copy is broken" });
    else setVerdict((await verify<ExportFacts>({ kind: "export", files: { file, trust: kept.trust }, since: kept.heads })).verdict);
  };
  return (
    <details>
      <summary><Trans>The sealed copy on this device</Trans></summary>
      <p className="row">
        <Button variant="light" onClick={() => void check()}><Trans>Check the copy, without a network</Trans></Button>
        <Button variant="light" onClick={() => void opened().then((file) => file && save("careledger-record.json", file))}><Trans>Save it as a file</Trans></Button>
      </p>
      {verdict === undefined ? null : verdict.ok ? (
        <>
          <Sentence isGood><Trans>The copy is complete and unaltered: {sayCount(verdict.entryCount)} entries.</Trans></Sentence>
          <ExportFactsList facts={verdict} />
        </>
      ) : <Refused refusal={verdict} />}
    </details>
  );
}
