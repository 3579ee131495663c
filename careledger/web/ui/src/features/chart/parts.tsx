import { Trans, useLingui } from "@lingui/react/macro";
import type { FhirResource } from "fhir/r4";
import { type ReactElement, type ReactNode, useId } from "react";

/** What stands in a line and opens by it. */
export type Opener = (resource: FhirResource) => void;

/** A list of the chart, with its heading. `more` stands beside the heading. */
export function Part({ title, children, more }: { readonly title: ReactNode; readonly children: ReactNode; readonly more?: ReactNode }): ReactElement {
  const name = useId();
  return (
    <section aria-labelledby={name}>
      <header><h2 id={name}>{title}</h2>{more}</header>
      {children}
    </section>
  );
}

/** There is nothing on record in a part: said, because it is not the same as there being nothing. */
export function Nothing({ children }: { readonly children: ReactNode }): ReactElement {
  return <p className="soft small nothing">{children}</p>;
}

/** A button that fetches what comes further down in a list. */
export function Earlier({ onPress, isBusy, children }: { readonly onPress: () => void; readonly isBusy: boolean; readonly children?: ReactNode }): ReactElement {
  return <button type="button" className="act" disabled={isBusy} onClick={onPress}>{isBusy ? <Trans>One moment…</Trans> : (children ?? <Trans>Earlier</Trans>)}</button>;
}

/** One entry (its words keep their own direction): what, when, and more below. Enter or a tap opens its details. */
export function Line({ what, when, more, tag, onOpen }: { readonly what: string; readonly when: string; readonly more?: string; readonly tag?: ReactNode; readonly onOpen: () => void }): ReactElement {
  const { t } = useLingui();
  return (
    <button type="button" className="line" onClick={onOpen}>
      <span className="what"><bdi>{what === "" ? t`without a name` : what}</bdi> {tag}</span>
      <span className="when">{when}</span>
      {more === undefined || more === "" ? null : <span className="more"><bdi>{more}</bdi></span>}
    </button>
  );
}
