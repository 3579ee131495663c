import { Trans } from "@lingui/react/macro";
import type { ReactElement } from "react";

/** What the node writes into her log of what happens to her account (careledger/web/smart/telling.py, node/accounts.py, links.py). */
type Told = "made" | "made-operator" | "made-alone" | "made-two" | "recovered" | "disabled" | "enabled" | "linked" | "unlinked";

const PATTERNS: readonly (readonly [Told, RegExp])[] = [
  ["made-operator", /^an account of this patient was made, by an invitation of the organisation's operator$/],
  ["made-two", /^an account of this patient was made, by an invitation of (.+?), approved by (.+)$/],
  ["made-alone", /^an account of this patient was made, by an invitation of (.+) alone$/],
  ["made", /^enrolled$/],
  ["recovered", /^(?:recovered|this patient's account was recovered: a new passkey replaced all former ones)$/],
  ["disabled", /^(?:disabled|the account of this patient was disabled by (.+))$/],
  ["enabled", /^(?:enabled|the account of this patient was enabled by (.+))$/],
  ["linked", /^(?:linked|the account of this patient was linked: sign-in at the organisation's own provider)$/],
  ["unlinked", /^(?:unlinked|the account of this patient was unlinked: sign-in at the organisation's own provider)$/],
];
const OPERATOR = "the organisation's operator";

/** What happened to the account and by whom, as far as the log's line is one of ours. */
export function readAccount(line: string): { readonly told: Told; readonly names: readonly string[] } | undefined {
  for (const [told, pattern] of PATTERNS) {
    const found = pattern.exec(line);
    if (found !== null) return { told, names: found.slice(1).filter((name) => name !== undefined && name !== OPERATOR) };
  }
  return undefined;
}

/** What happened to the account that opens her record, in words; a line that we do not know as it stands. */
export function AccountNews({ line }: { readonly line: string }): ReactElement {
  const read = readAccount(line);
  const [first = "", second = ""] = read?.names ?? [];
  switch (read?.told) {
    case "made":
      return <Trans>An account that opens your record was made.</Trans>;
    case "made-operator":
      return <Trans>An account that opens your record was made, by an invitation of the house's technicians.</Trans>;
    case "made-alone":
      return <Trans>An account that opens your record was made, by an invitation of {first} alone.</Trans>;
    case "made-two":
      return <Trans>An account that opens your record was made, by an invitation of {first}, approved by {second}.</Trans>;
    case "recovered":
      return <Trans>The account that opens your record was recovered: a new passkey replaced all former ones. If that was not you, tell the house at once.</Trans>;
    case "disabled":
      return first === "" ? <Trans>The account that opens your record was switched off by the house's technicians.</Trans> : <Trans>The account that opens your record was switched off by {first}.</Trans>;
    case "enabled":
      return first === "" ? <Trans>The account that opens your record was switched on again by the house's technicians.</Trans> : <Trans>The account that opens your record was switched on again by {first}.</Trans>;
    case "linked":
      return <Trans>Whoever signs in at the house's own sign-in as you now opens your record too.</Trans>;
    case "unlinked":
      return <Trans>The house's own sign-in opens your record no more.</Trans>;
    case undefined:
      return <Trans>Something happened to the account that opens your record: “{line}”</Trans>;
  }
}
