import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type FormEvent, type ReactElement, useState } from "react";
import { CopyRefused, PASSKEY, readHeader } from "../../lib/copies.ts";
import type { Chosen } from "./judging.ts";
import { save } from "./saving.ts";

interface Props {
  readonly name: string;
  readonly data: Uint8Array<ArrayBuffer>;
  /** What was in it, to be checked like any other file. */
  readonly onOpen: (files: readonly Chosen[]) => void;
}

/** A sealed copy: opened here by her passkey or her printed code, offline too; what comes out can be saved open. */
export function SealedCopy({ name, data, onOpen }: Props): ReactElement {
  const [code, setCode] = useState("");
  const [busy, setBusy] = useState<"" | "passkey" | "kit">("");
  const [error, setError] = useState<unknown>();
  const [opened, setOpened] = useState<readonly Chosen[]>();
  const run = async (by: "passkey" | "kit", opening: () => Promise<readonly Chosen[]>): Promise<void> => {
    setBusy(by);
    setError(undefined);
    try {
      const files = await opening();
      setCode("");
      setOpened(files);
      onOpen(files);
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy("");
    }
  };
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void run("kit", async () => (await import("./sealed.ts")).openByKit(data, code));
  };
  return (
    <div className="notice stack">
      <h3><Trans>A sealed copy</Trans> <span className="mono small">{name}</span></h3>
      {opened === undefined ? (
        <>
          <p><Trans>It opens on this device, with your passkey or with the code that was printed for it. Nothing is sent anywhere.</Trans></p>
          {isPossible(data) ? <p><Button loading={busy === "passkey"} disabled={busy !== ""} onClick={() => void run("passkey", async () => (await import("./sealed.ts")).openByPasskey(data))}><Trans>Open with my passkey</Trans></Button></p> : null}
          <form className="stack" onSubmit={submit}>
            <label className="field"><Trans>Printed code (64 digits)</Trans>
              <input value={code} maxLength={100} autoComplete="off" spellCheck={false} onChange={(event) => setCode(event.target.value)} />
            </label>
            <p><Button type="submit" variant="light" loading={busy === "kit"} disabled={busy !== "" || code.trim() === ""}><Trans>Open with the printed code</Trans></Button></p>
          </form>
        </>
      ) : (
        <>
          <p role="status"><Trans>Opened. Check it below; saved open, anybody can read it.</Trans></p>
          <p className="row">{opened.map((file) => <Button key={file.name} variant="light" onClick={() => save(file.name, file.data)}><Trans>Save {file.name}</Trans></Button>)}</p>
        </>
      )}
      {error === undefined ? null : <p role="alert" className="strong"><Why error={error} /></p>}
    </div>
  );
}

/** Whether a passkey may open it. */
function isPossible(data: Uint8Array<ArrayBuffer>): boolean {
  try {
    return readHeader(data).wraps.some((wrap) => wrap.kind === PASSKEY);
  } catch {
    return false;
  }
}

function Why({ error }: { readonly error: unknown }): ReactElement {
  if (error instanceof RangeError) return <Trans>The printed code has 64 digits, 0 to 9 and a to f.</Trans>;
  if (!(error instanceof CopyRefused)) return <Trans>The passkey did not open it. It works only at the site where it was made, on a device that has it; the printed code works anywhere.</Trans>;
  if (error.code === "not-yours") return <Trans>This does not open the copy: it was sealed for another passkey or code.</Trans>;
  return <Trans>This copy was altered, or is not whole. Nothing of it was opened.</Trans>;
}
