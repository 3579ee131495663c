import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";
import { useHouse, useMaybePresent } from "../../lib/context.ts";
import { reach, readRefusal, Refusal } from "../../lib/refusal.ts";

/** An organisation or practitioner as the ledger knows it; `name` is "" where it has none. */
export interface Party {
  readonly did: string;
  readonly name: string;
}

/** `GET /api/ledger` (docs/spec/api.md), and so for the types below. */
export interface Overview {
  readonly chain: string;
  readonly mode: "embedded" | "network";
  readonly height: number;
  readonly time_ms: number;
  readonly hash: string;
  readonly genesis_ms: number;
  readonly block_interval_ms: number;
  readonly validators: number;
  readonly message_types: readonly string[];
  readonly organisations: readonly (Party & { readonly active: boolean; readonly roles: readonly string[]; readonly height: number })[];
}

export interface BlockRow {
  readonly height: number;
  readonly time_ms: number;
  readonly hash: string;
  readonly transactions: number;
  readonly refused: number;
  readonly types: Readonly<Record<string, number>>;
}

export interface Blocks {
  readonly blocks: readonly BlockRow[];
  readonly next: number | null;
}

export interface Message {
  readonly type: string;
  readonly words: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Transaction {
  readonly hash: string;
  readonly height: number;
  readonly position: number;
  readonly result: { readonly code: number; readonly name: string; readonly words: string };
  readonly bytes: number;
  readonly sponsor: Party;
  readonly lane: number;
  readonly sequence: number;
  readonly valid_until_ms: number;
  readonly signatures: readonly { readonly algorithm: string; readonly fingerprint: string }[];
  readonly messages: readonly Message[];
}

export interface Block extends BlockRow {
  readonly chain: string;
  readonly previous: number;
  readonly evidence: readonly unknown[];
  readonly founding: readonly Message[];
  readonly left_out: number;
  readonly list: readonly Transaction[];
}

export interface Validator {
  readonly address: string;
  readonly organisation: Party;
  readonly key: { readonly algorithm: string; readonly fingerprint: string };
  readonly weight: number;
  readonly status: string;
  readonly since: number;
  readonly signed: { readonly commits: number; readonly newest: number };
}

export interface Validators {
  readonly height: number;
  readonly commits: number;
  readonly validators: readonly Validator[];
}

export interface Found {
  readonly blocks: readonly BlockRow[];
  readonly transactions: readonly Transaction[];
  readonly organisations: readonly Party[];
  readonly next: number | null;
}

const NEWEST_EVERY_MS = 5_000;

/**
 * One page of the ledger's JSON. Somebody signed in asks with their token; a stranger asks without, where the house lets
 * anybody read its ledger. `isLive` pages are asked for again every five seconds while they are looked at.
 */
export function useLedger<T>(path: string, isLive = false): UseQueryResult<T> {
  const node = useMaybePresent()?.node;
  const isOpen = useHouse()?.isLedgerOpen === true;
  return useQuery({
    queryKey: ["ledger", path],
    queryFn: async ({ signal }): Promise<T> => {
      if (node !== undefined) return await node.api<T>(path, signal);
      if (!isOpen) throw new Refusal(401, "sign-in-needed", "", "");
      const answer = await reach(`/api${path}`, { signal });
      if (!answer.ok) throw await readRefusal(answer);
      return (await answer.json()) as T;
    },
    placeholderData: keepPreviousData,
    ...(isLive ? { refetchInterval: NEWEST_EVERY_MS } : { staleTime: Number.POSITIVE_INFINITY }),
  });
}
