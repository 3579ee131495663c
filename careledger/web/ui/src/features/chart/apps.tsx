import { Trans, useLingui } from "@lingui/react/macro";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type ReactElement, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { Empty, Loading, Problem } from "../../components/states.tsx";
import { usePresent } from "../../lib/context.ts";
import { reach, readRefusal, Refusal } from "../../lib/refusal.ts";
import { useKeys } from "./keys.ts";
import { Sheet } from "./sheet.tsx";

interface App {
  readonly id: string;
  readonly name: string;
  /** The host that it opens at. */
  readonly host: string;
}

async function listApps(): Promise<readonly App[]> {
  const answer = await reach("/launcher/apps");
  if (!answer.ok) throw await readRefusal(answer);
  return ((await answer.json()) as { readonly apps: readonly App[] }).apps;
}

/** Where the app begins: an address with an opaque value that stands for the patient. Throws Refusal, Unreachable. */
async function launch(csrf: string, client: string, patient: string): Promise<string> {
  const headers = { "content-type": "application/json", "x-csrf": csrf };
  const answer = await reach("/launcher/open", { method: "POST", headers, body: JSON.stringify({ client, patient }) });
  if (!answer.ok) throw await readRefusal(answer);
  const { url } = (await answer.json()) as { readonly url: string };
  if (!isOpenable(url)) throw new Refusal(400, "launch-address", "", "");
  return url;
}

/** Pages of the web, encrypted; of this machine also without. */
export function isOpenable(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || (protocol === "http:" && (hostname === "localhost" || hostname === "127.0.0.1"));
}

/** The house's SMART apps, opened with this patient in a tab of their own, which cannot reach back into this one. */
export function AppsButton({ patient }: { readonly patient: string }): ReactElement {
  const [isOpen, setOpen] = useState(false);
  useKeys({ a: () => setOpen(true) });
  return (
    <>
      <button type="button" className="quiet-button no-print" onClick={() => setOpen(true)}><Icon name="network" size={18} /> <Trans>Apps</Trans></button>
      {isOpen ? <Sheet title={<Trans>Open an app with this patient</Trans>} onClose={() => setOpen(false)}><Apps patient={patient} /></Sheet> : null}
    </>
  );
}

function Apps({ patient }: { readonly patient: string }): ReactElement {
  const { t } = useLingui();
  const { session } = usePresent();
  const apps = useQuery({ queryKey: ["apps"], queryFn: listApps, staleTime: 300_000 });
  const opening = useMutation({
    mutationFn: (app: App) => launch(session.csrf, app.id, patient),
    onSuccess: (url) => void window.open(url, "_blank", "noopener,noreferrer"),
  });
  if (apps.isPending) return <Loading />;
  if (apps.isError) return <Problem error={apps.error} onRetry={() => void apps.refetch()} />;
  if (apps.data.length === 0) return <Empty><p><Trans>No app is registered for launch in this house.</Trans></p></Empty>;
  return (
    <>
      <p className="soft"><Trans>The app asks you what it may see. It opens in a new tab; its address does not name the patient.</Trans></p>
      <ul className="plain rows">
        {apps.data.map((app) => (
          <li key={app.id} className="row apart">
            <span><span className="strong">{app.name}</span><br /><span className="soft small">{app.host}</span></span>
            <button type="button" className="act strong" aria-label={t`Open ${app.name}`} disabled={opening.isPending} onClick={() => opening.mutate(app)}><Trans>Open</Trans></button>
          </li>
        ))}
      </ul>
      {opening.isError ? <Problem error={opening.error} /> : null}
      {opening.isSuccess ? <p role="status"><Trans>It was opened in a new tab. Nothing there?</Trans> <a href={opening.data} target="_blank" rel="noopener noreferrer"><Trans>Open it by this link</Trans></a></p> : null}
    </>
  );
}
