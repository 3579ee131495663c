import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Attachment, Encounter, FhirResource, Observation, Reference } from "fhir/r4";
import { type ReactElement, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { Loading, Problem } from "../../components/states.tsx";
import type { Node } from "../../lib/node.ts";
import { dateOf, isPatientStated, sayKind, sayMoment, saySource, sayStatus, sayTitle, statusOf } from "../../lib/words.ts";
import { listFacts } from "./facts.ts";
import { tokenOf } from "./measures.ts";
import { decodeText } from "./notes.ts";
import { SeriesOf } from "./series.tsx";
import { Sheet } from "./sheet.tsx";

interface Props {
  /** The entry as the list had it: perhaps only in part. */
  readonly of: FhirResource;
  readonly node: Node;
  readonly patient: string;
  readonly onClose: () => void;
}

interface Whole {
  readonly resource: FhirResource;
  /** How far its proof is: "pending", "anchored", "final", or "" if the node did not say. */
  readonly level: string;
  /** Who wrote it, and where; of the visit where the entry itself does not say. */
  readonly source: string;
}

/** The newest version with its level of proof. */
async function readWhole(node: Node, type: string, id: string): Promise<Whole> {
  const answer = await node.send(`/fhir/${type}/${encodeURIComponent(id)}`, { headers: { "careledger-level": "?" } });
  const resource = (await answer.json()) as FhirResource;
  return { resource, level: answer.headers.get("careledger-level") ?? "", source: await findWriter(node, resource) };
}

/** What the entry says of its writer; if it says nothing, what its visit says. */
async function findWriter(node: Node, resource: FhirResource): Promise<string> {
  const own = saySource(resource);
  const visit = (resource as { readonly encounter?: Reference }).encounter?.reference ?? "";
  if (own !== "" || !visit.startsWith("Encounter/")) return own;
  try {
    return saySource(resource, undefined, await node.read<Encounter>("Encounter", visit.slice(10)));
  } catch {
    return "";
  }
}

/** One entry, all of it: in words, who wrote it, how sure it is, and the way to its proof. */
export function Details({ of, node, patient, onClose }: Props): ReactElement {
  const id = of.id ?? "";
  const read = useQuery({ queryKey: ["chart", patient, "entry", of.resourceType, id], queryFn: () => readWhole(node, of.resourceType, id) });
  return (
    <Sheet title={sayTitle(of)} isWide onClose={onClose}>
      {read.isPending ? <Loading /> : null}
      {read.isError ? <Problem error={read.error} onRetry={() => void read.refetch()} /> : null}
      {read.data === undefined ? null : <Shown {...read.data} node={node} patient={patient} />}
    </Sheet>
  );
}

function Shown({ resource, level, source, node, patient }: Whole & { readonly node: Node; readonly patient: string }): ReactElement {
  const { i18n } = useLingui();
  const status = statusOf(resource);
  return (
    <>
      <p className="row"><span className="tag">{sayKind(resource.resourceType)}</span>{status === "" ? null : <span className="tag">{sayStatus(status)}</span>}{isPatientStated(resource) ? <span className="tag warn"><Trans>stated by the patient</Trans></span> : null}</p>
      <dl className="facts">
        <dt><Trans>When</Trans></dt><dd>{sayMoment(dateOf(resource)) || <Trans>not said</Trans>}</dd>
        <dt><Trans>Who wrote it</Trans></dt><dd>{source === "" ? <Trans>not said in the entry</Trans> : source}</dd>
        {listFacts(resource).map(({ name, value }) => <Fact key={name.id + value} name={i18n._(name)} value={value} />)}
        <dt><Trans>Entered here</Trans></dt><dd>{sayMoment(resource.meta?.lastUpdated)} · <Trans>version {resource.meta?.versionId ?? "1"}</Trans></dd>
      </dl>
      <div className={level === "pending" ? "notice warn" : "notice good"}>
        <p><Icon name="shield" size={18} /> <Level level={level} /></p>
        <p><Link to="/app/proof" state={{ entry: `${resource.resourceType}/${resource.id ?? ""}`, chart: patient }}><Trans>Check it in this browser</Trans></Link></p>
      </div>
      {resource.resourceType === "Observation" ? <Trend observation={resource} node={node} patient={patient} /> : null}
      {resource.resourceType === "DocumentReference" ? <Texts attached={resource.content.map(({ attachment }) => attachment)} /> : null}
      {resource.resourceType === "DiagnosticReport" ? <Texts attached={resource.presentedForm ?? []} /> : null}
      <Versions resource={resource} node={node} patient={patient} />
    </>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }): ReactElement {
  return <><dt>{name}</dt><dd><bdi>{value}</bdi></dd></>;
}

function Level({ level }: { readonly level: string }): ReactElement {
  if (level === "pending") return <Trans>Stored here; its seal is not in a block of the ledger yet.</Trans>;
  if (level === "anchored") return <Trans>Its seal is in the ledger: nobody changes it unseen.</Trans>;
  if (level === "final") return <Trans>Its seal is in the ledger, and the network has agreed: nobody changes it unseen.</Trans>;
  return <Trans>Its proof can be asked for.</Trans>;
}

function Trend({ observation, node, patient }: { readonly observation: Observation; readonly node: Node; readonly patient: string }): ReactElement | null {
  const code = tokenOf(observation.code);
  return code === "" ? null : <SeriesOf code={code} node={node} patient={patient} />;
}

/** Plain text of a document. Other formats are not shown inside a page: they may hold programs. */
function Texts({ attached }: { readonly attached: readonly Attachment[] }): ReactElement {
  const texts = attached.map(decodeText);
  return (
    <>
      {texts.map((text, index) => text === undefined
        ? <p key={index} className="soft"><Trans>This part is of a format that is not shown here.</Trans></p>
        : <pre key={index} tabIndex={0}>{text}</pre>)}
    </>
  );
}

/** What it said before, on demand. */
function Versions({ resource, node, patient }: { readonly resource: FhirResource; readonly node: Node; readonly patient: string }): ReactElement | null {
  const [isWanted, setWanted] = useState(false);
  const { i18n } = useLingui();
  const read = useQuery({
    queryKey: ["chart", patient, "versions", resource.resourceType, resource.id, resource.meta?.versionId],
    queryFn: () => node.history(resource.resourceType, resource.id ?? ""),
    enabled: isWanted,
  });
  if (resource.meta?.versionId === "1") return null;
  if (!isWanted) return <p><button type="button" className="act" onClick={() => setWanted(true)}><Trans>What it said before</Trans></button></p>;
  if (read.isPending) return <Loading />;
  if (read.isError) return <Problem error={read.error} onRetry={() => void read.refetch()} />;
  const former = (read.data.entry ?? []).flatMap((one) => (one.resource === undefined || one.resource.meta?.versionId === resource.meta?.versionId ? [] : [one.resource]));
  return (
    <>
      <h3><Trans>Before</Trans></h3>
      {former.map((one) => (
        <dl className="facts" key={one.meta?.versionId}>
          <dt><Trans>Version {one.meta?.versionId ?? ""}</Trans></dt><dd>{sayMoment(one.meta?.lastUpdated)} · {sayStatus(statusOf(one))}</dd>
          {listFacts(one).map(({ name, value }) => <Fact key={name.id + value} name={i18n._(name)} value={value} />)}
        </dl>
      ))}
    </>
  );
}
