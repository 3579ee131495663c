import { Trans, useLingui } from "@lingui/react/macro";
import { Link } from "@tanstack/react-router";
import type { ReactElement } from "react";
import { useMaybePresent } from "../../lib/context.ts";
import type { Kind } from "../../lib/session.ts";
import { type Step, STEPS } from "./steps.ts";
import { QUESTIONS } from "./questions.ts";
import { useTour } from "./tour.ts";

/** The tour of whoever is here, and the answers to what people ask. */
export function Page(): ReactElement {
  const present = useMaybePresent();
  const kind: Kind | "anybody" = present?.session.kind ?? "anybody";
  const { i18n } = useLingui();
  return (
    <section className="narrow">
      <h1><Trans>Help and tour</Trans></h1>
      <Tour steps={STEPS[kind]} name={kind} />
      <h2><Trans>Questions</Trans></h2>
      <div className="stack">
        {QUESTIONS.filter((one) => one.who.includes(kind)).map((one) => (
          <details key={one.id} id={one.id} className="card">
            <summary className="strong">{i18n._(one.question)}</summary>
            <p>{i18n._(one.answer)}</p>
          </details>
        ))}
      </div>
      <h2><Trans>Keys</Trans></h2>
      <dl className="facts">
        <dt><kbd>Ctrl K</kbd> · <kbd>⌘ K</kbd></dt><dd><Trans>Go to a page, or to a patient by name</Trans></dd>
        <dt><kbd>Tab</kbd> · <kbd>Enter</kbd></dt><dd><Trans>Everything works without a mouse</Trans></dd>
        {kind === "clinician" ? <><dt><kbd>?</kbd></dt><dd><Trans>All keys of the chart</Trans></dd></> : null}
      </dl>
    </section>
  );
}

/** A few steps to the first useful act; what was done is ticked, in this tab. */
function Tour({ steps, name }: { readonly steps: readonly Step[]; readonly name: string }): ReactElement {
  const { i18n } = useLingui();
  const { done, tick, begin } = useTour(name);
  const count = steps.filter((step) => done.has(step.id)).length;
  const total = steps.length;
  return (
    <section aria-labelledby="tour">
      <h2 id="tour"><Trans>Three minutes to begin with</Trans></h2>
      <p className="soft" role="status"><Trans>{count} of {total} done</Trans></p>
      <ol className="plain rows">
        {steps.map((step) => (
          <li key={step.id}>
            <label className="row">
              <input type="checkbox" checked={done.has(step.id)} onChange={() => tick(step.id)} /> <span className="strong">{i18n._(step.title)}</span>
            </label>
            <p>{i18n._(step.text)}</p>
            <p>{step.to.startsWith("/app") || step.to.startsWith("/explorer") ? <Link to={step.to} onClick={() => tick(step.id, true)}>{i18n._(step.action)}</Link> : <a href={step.to} onClick={() => tick(step.id, true)}>{i18n._(step.action)}</a>}</p>
          </li>
        ))}
      </ol>
      {count === 0 ? null : <p><button type="button" className="quiet-button" onClick={begin}><Trans>Begin again</Trans></button></p>}
    </section>
  );
}
