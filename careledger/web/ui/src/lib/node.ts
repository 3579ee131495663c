import type { Bundle as AnyBundle, BundleEntry, FhirResource, Resource } from "fhir/r4";
import { type Outcome, reach, readRefusal, Refusal, toRefusal } from "./refusal.ts";
import type { Tokens } from "./oauth.ts";

export type Bundle = AnyBundle<FhirResource>;
export type Parameters = readonly (readonly [name: string, value: string])[];

export interface Page<T> {
  readonly resources: readonly T[];
  /** Resources that came with `_include` and `_revinclude`. */
  readonly included: readonly FhirResource[];
  readonly total: number | undefined;
  /** Where the next page is, "" after the last. Opaque. */
  readonly next: string;
}

/** One search of a batch: a type and its parameters. */
export interface Search {
  readonly type: string;
  readonly parameters: Parameters;
}

/**
 * The node as this page uses it: FHIR, and the small `/api` (docs/spec/api.md). Every request carries the page's token;
 * one that the node refuses as ended is tried once more with a new one. Searches go by POST, so that no patient stands in an
 * address that a proxy or a history keeps.
 */
export class Node {
  private readonly tokens: Tokens;
  private readonly onEnd: () => void;

  /** `onEnd` is called when the session has ended: the person must sign in again. */
  constructor(tokens: Tokens, onEnd: () => void) {
    this.tokens = tokens;
    this.onEnd = onEnd;
  }

  /** The same node, asked for another purpose (HL7 PurposeOfUse): `ETREAT` in an emergency. */
  forPurpose(purpose: string): Node {
    return new Node(this.tokens.forPurpose(purpose), this.onEnd);
  }

  /** The session is over: nothing is asked with its tokens any more. */
  end(): void {
    this.tokens.end();
  }

  /** The answer to a request with our token. Throws Refusal, Unreachable. */
  async send(path: string, init: RequestInit = {}): Promise<Response> {
    const first = await this.try(path, init);
    if (first.status !== 401) return first.ok || first.status === 304 ? first : Promise.reject(await readRefusal(first));
    this.tokens.forget();
    const again = await this.try(path, init);
    if (again.ok) return again;
    if (again.status === 401) this.onEnd();
    throw await readRefusal(again);
  }

  private async try(path: string, init: RequestInit): Promise<Response> {
    let token: string;
    try {
      token = await this.tokens.get();
    } catch (error) {
      if (error instanceof Refusal && error.code === "login_required") this.onEnd();
      throw error;
    }
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${token}`);
    return await reach(path, { ...init, headers });
  }

  /** JSON of `/api`. */
  async api<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await (await this.send(`/api${path}`, signal === undefined ? {} : { signal })).json()) as T;
  }

  /** JSON to `/api`, and what it answers. */
  async tell<T>(path: string, content: unknown): Promise<T> {
    const headers = { "content-type": "application/json" };
    const answer = await this.send(`/api${path}`, { method: "POST", headers, body: JSON.stringify(content) });
    return (await answer.json()) as T;
  }

  /** A file of `/api`, whole: receipts, exports, checkpoints. */
  async file(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await (await this.send(`/api${path}`)).arrayBuffer());
  }

  /** The newest version of a resource. */
  async read<T extends Resource>(type: string, id: string): Promise<T> {
    return (await (await this.send(`/fhir/${type}/${encodeURIComponent(id)}`)).json()) as T;
  }

  /** Every version of a resource, newest first. */
  async history(type: string, id: string): Promise<Bundle> {
    return (await (await this.send(`/fhir/${type}/${encodeURIComponent(id)}/_history`)).json()) as Bundle;
  }

  /** The first page of a search. */
  async search<T extends Resource>(type: string, parameters: Parameters, signal?: AbortSignal): Promise<Page<T>> {
    const body = new URLSearchParams(parameters.map(([name, value]) => [name, value]));
    const init = { method: "POST", body, ...(signal === undefined ? {} : { signal }) };
    return readPage<T>((await (await this.send(`/fhir/${type}/_search`, init)).json()) as Bundle);
  }

  /** A further page of the same search: `next` of the page before. */
  async more<T extends Resource>(next: string): Promise<Page<T>> {
    const url = new URL(next, location.origin);
    return readPage<T>((await (await this.send(url.pathname + url.search)).json()) as Bundle);
  }

  /** Several searches in one request; the answers in their order. Throws the first refusal. */
  async searches(searches: readonly Search[]): Promise<readonly Page<FhirResource>[]> {
    const entry = searches.map(({ type, parameters }): BundleEntry => {
      const query = new URLSearchParams(parameters.map(([name, value]) => [name, value]));
      return { request: { method: "GET", url: `${type}?${query}` } };
    });
    const answer = await this.write<Bundle>("POST", "", { resourceType: "Bundle", type: "batch", entry });
    return (answer.entry ?? []).map((one) => {
      if (one.resource?.resourceType === "Bundle") return readPage(one.resource as Bundle);
      throw toRefusal(Number.parseInt(one.response?.status ?? "500", 10), (one.response?.outcome as Outcome | undefined) ?? {});
    });
  }

  /** A new resource. */
  async create<T extends Resource>(resource: T): Promise<T> {
    return await this.write<T>("POST", `/${resource.resourceType}`, resource);
  }

  /** The resource as it shall be from now on; refused if somebody else changed it meanwhile. */
  async update<T extends Resource>(resource: T): Promise<T> {
    const version = resource.meta?.versionId;
    const match: Record<string, string> = version === undefined ? {} : { "if-match": `W/"${version}"` };
    return await this.write<T>("PUT", `/${resource.resourceType}/${encodeURIComponent(resource.id ?? "")}`, resource, match);
  }

  /** An operation by POST. */
  async operate<T>(path: string, content: unknown): Promise<T> {
    return await this.write<T>("POST", path, content);
  }

  private async write<T>(method: string, path: string, content: unknown, more: Record<string, string> = {}): Promise<T> {
    const headers = { "content-type": "application/fhir+json", prefer: "return=representation", ...more };
    return (await (await this.send(`/fhir${path}`, { method, headers, body: JSON.stringify(content) })).json()) as T;
  }
}

function readPage<T>(bundle: Bundle): Page<T> {
  const entries = bundle.entry ?? [];
  const of = (mode: string): FhirResource[] =>
    entries.flatMap((one) => ((one.search?.mode ?? "match") === mode && one.resource !== undefined ? [one.resource] : []));
  return {
    resources: of("match") as unknown as readonly T[],
    included: of("include"),
    total: bundle.total,
    next: bundle.link?.find((one) => one.relation === "next")?.url ?? "",
  };
}
