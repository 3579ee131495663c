import { Trans } from "@lingui/react/macro";
import { Button, Loader } from "@mantine/core";
import type { ReactElement, ReactNode } from "react";
import { APPLICATION_OFF, Refusal, Unreachable } from "../lib/refusal.ts";

/** The node's word for a store that is not what it was: what it adds is for its technicians. */
export const DAMAGED = "corrupt";

/** Something is being fetched. Said to screen readers too. */
export function Loading(): ReactElement {
  return (
    <div className="state" role="status">
      <Loader size="sm" aria-hidden="true" />
      <p><Trans>One moment…</Trans></p>
    </div>
  );
}

/** There is nothing, and that is a true answer. `children` says what may be done about it. */
export function Empty({ children }: { readonly children: ReactNode }): ReactElement {
  return <div className="state quiet">{children}</div>;
}

/** Why it did not work, in words, and the way on. Never what a machine says about its inside. */
export function Problem({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }): ReactElement {
  const isOff = error instanceof Refusal && error.code === APPLICATION_OFF;
  return (
    <div className="state problem" role="alert">
      <p className="strong">{describe(error)}</p>
      {isOff ? <p><Trans>The record is kept as before, and nothing was changed. Ask the house's administrators when the application will be on again, and for what you need meanwhile. <a href="/me">Your account</a> still opens.</Trans></p> : null}
      {error instanceof Refusal && error.hint !== "" && error.code !== DAMAGED ? <p>{error.hint}</p> : null}
      {error instanceof Refusal && error.code === DAMAGED ? <p><a href="/app/proof"><Trans>Check it with your own device</Trans></a></p> : null}
      {onRetry === undefined ? null : <Button variant="light" onClick={onRetry}><Trans>Try again</Trans></Button>}
    </div>
  );
}

function describe(error: unknown): ReactElement {
  if (error instanceof Unreachable) return <Trans>The record's house cannot be reached. Are you online?</Trans>;
  if (error instanceof Refusal) {
    if (error.code === APPLICATION_OFF) return <Trans>The administrators of this house have switched this application off.</Trans>;
    if (error.code === DAMAGED) return <Trans>What is stored here is not what was written: it was altered or damaged, so it is not shown.</Trans>;
    if (error.status === 401) return <Trans>You are no longer signed in.</Trans>;
    if (error.status === 403) return <Trans>You may not see this.</Trans>;
    if (error.status === 404 || error.status === 410) return <Trans>There is no such thing, or it is not for you.</Trans>;
    if (error.status === 409 || error.status === 412) return <Trans>Somebody else changed this meanwhile. Look at it again.</Trans>;
    if (error.status === 429) return <Trans>That was too much at once. Wait a little.</Trans>;
    if (error.status === 503) return <Trans>The house cannot log who looks just now, so it shows nothing. Try again soon.</Trans>;
    if (error.message !== "") return <>{error.message}</>;
  }
  return <Trans>This did not work. Nothing was changed.</Trans>;
}
