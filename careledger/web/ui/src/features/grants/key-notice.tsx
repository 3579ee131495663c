import { Trans } from "@lingui/react/macro";
import { type ReactElement, useEffect, useState } from "react";
import { canGiveKeys } from "./signing.ts";

/** What is missing before she can decide here, and the other ways. */
export function KeyNotice({ hasKey, hasPasskey }: { readonly hasKey: boolean; readonly hasPasskey: boolean }): ReactElement | null {
  const [can, setCan] = useState<boolean>();
  useEffect(() => void canGiveKeys().then(setCan), []);
  if (hasPasskey && can !== false) return null;
  return (
    <div className="notice warn stack">
      {hasPasskey ? <p><Trans>This browser says that its passkeys cannot make keys (PRF). Use the device on which you made your passkey.</Trans></p> : hasKey ? (
        <p><Trans>Your decisions are signed with a key file. It is used on the command line (<span className="mono">careledger consent grant</span>), or you let a passkey decide instead: <a href="/me#decisions">My account</a>, “A key of your own”.</Trans></p>
      ) : (
        <p><Trans>Before you decide for the first time, let your passkey decide: <a href="/me#decisions">My account</a>, “A key of your own”. It takes one touch, and a sheet of paper to keep.</Trans></p>
      )}
      <details>
        <summary><Trans>My device cannot do that</Trans></summary>
        <p className="small"><Trans>The passkey must be able to make keys (PRF): phones and computers of the last years and most security keys can. If yours cannot, a key file does the same on any computer: <span className="mono">careledger patient enrol</span>, then <span className="mono">careledger consent grant</span>.</Trans></p>
      </details>
    </div>
  );
}
