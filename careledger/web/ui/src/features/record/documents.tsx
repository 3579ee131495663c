import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { FhirResource } from "fhir/r4";
import type { ReactElement } from "react";
import { Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { type Attached, listAttached, readText } from "./facts.ts";

/** The documents inside an entry: texts are shown, other files can be saved. Nothing of them is run or rendered as a page. */
export function Documents({ entry }: { readonly entry: FhirResource }): ReactElement | null {
  const all = listAttached(entry);
  if (all.length === 0) return null;
  return <section>{all.map((one, at) => <Attachment key={at} attached={one} />)}</section>;
}

function Attachment({ attached }: { readonly attached: Attached }): ReactElement {
  const { node } = usePresent();
  const save = useMutation({ mutationFn: async () => saveFile(await readBytes(attached, (path) => node.send(path, { headers: { accept: "*/*" } }))) });
  const text = readText(attached);
  if (text !== undefined) return <pre className="document" tabIndex={0}>{text}</pre>;
  return (
    <>
      <p><Button variant="default" loading={save.isPending} onClick={() => save.mutate()}><Trans>Save the document</Trans></Button> <span className="soft small">{attached.title} {attached.type}</span></p>
      {save.isError ? <Problem error={save.error} /> : null}
    </>
  );
}

async function readBytes(attached: Attached, send: (path: string) => Promise<Response>): Promise<Uint8Array<ArrayBuffer>> {
  if (attached.binary === "") return Uint8Array.from(atob(attached.data), (letter) => letter.charCodeAt(0));
  return new Uint8Array(await (await send(`/fhir/${attached.binary}`)).arrayBuffer());
}

/** As a download whatever its type: the browser never opens it as a page of ours. */
function saveFile(bytes: Uint8Array<ArrayBuffer>): void {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "document";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
