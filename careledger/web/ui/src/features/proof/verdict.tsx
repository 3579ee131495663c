import { msg } from "@lingui/core/macro";
import type { MessageDescriptor } from "@lingui/core";
import { Trans, useLingui } from "@lingui/react/macro";
import { type ReactElement, type ReactNode, useEffect, useRef, useState } from "react";
import { Icon } from "../../components/icon.tsx";
import { LANGUAGES, RECORDS } from "../../lib/directive_words.ts";
import { locale } from "../../lib/i18n.ts";
import type { ExportFacts, Level, LightFacts, ReceiptFacts, Refusal } from "../../lib/proof/index.ts";
import { lookUp } from "../../lib/table.ts";
import { sayCount, sayTime } from "../../lib/words.ts";
import { reasonOf } from "./reasons.ts";

/** Green or red, in one sentence, read out when it comes, and brought before the eyes: on a phone it comes below the fold. */
export function Sentence({ isGood, children }: { readonly isGood: boolean; readonly children: ReactNode }): ReactElement {
  const sentence = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    void sentence.current?.scrollIntoView?.({ block: "nearest" });
  }, []);
  return (
    <p ref={sentence} className={`notice verdict ${isGood ? "good" : "bad"}`} role={isGood ? "status" : "alert"}>
      <Icon name={isGood ? "check" : "cross"} size={28} /> <span>{children}</span>
    </p>
  );
}

/** The one sentence for what does not hold. */
export function Refused({ refusal, isOwn = false }: { readonly refusal: Refusal; readonly isOwn?: boolean }): ReactElement {
  const { i18n } = useLingui();
  return <Sentence isGood={false}><Trans>Not confirmed: {i18n._(reasonOf(refusal.code, isOwn))}</Trans></Sentence>;
}

const LEVELS: Readonly<Record<Level, MessageDescriptor>> = {
  anchored: msg`signed by the house that keeps the record`,
  witnessed: msg`signed by the house, and countersigned by independent witnesses`,
  final: msg`signed by more than two thirds of the network's organisations`,
};

/** How sure, and as of when. */
export function Surely({ level, asOf }: { readonly level: Level; readonly asOf: LightFacts["asOf"] }): ReactElement {
  const { i18n } = useLingui();
  return (
    <>
      <dt><Trans>How sure</Trans></dt><dd>{i18n._(LEVELS[level])}</dd>
      <dt><Trans>As of</Trans></dt><dd>{asOf.timeMs !== null && <>{sayTime(asOf.timeMs, "long")} · </>}<Trans>block {asOf.height} of the ledger {asOf.chain}</Trans></dd>
    </>
  );
}

export function ExportFactsList({ facts }: { readonly facts: ExportFacts }): ReactElement {
  return (
    <dl className="facts">
      <dt><Trans>Entries of the record</Trans></dt><dd>{sayCount(facts.entryCount)}</dd>
      <dt><Trans>Looks at it</Trans></dt><dd>{sayCount(facts.accessCount)}: <Rules rules={facts.rules} /></dd>
      {facts.chart === null ? null : (
        <>
          <dt><Trans>Erased on purpose</Trans></dt><dd>{facts.chart.bareCount === 0 ? <Trans>none</Trans> : <Trans>{sayCount(facts.chart.bareCount)}, each one announced in the record</Trans>}</dd>
          <dt><Trans>Decisions on sharing</Trans></dt><dd>{sayCount(facts.chart.directiveCount)}{facts.chart.withoutForce > 0 ? <> · <Trans>{sayCount(facts.chart.withoutForce)} without force</Trans></> : null}</dd>
          {facts.chart.movedIn > 0 ? <><dt><Trans>Came from another chart</Trans></dt><dd>{sayCount(facts.chart.movedIn)}</dd></> : null}
          {facts.chart.enrolledKey === null ? null : <><dt><Trans>The key that decides</Trans></dt><dd className="mono">{facts.chart.enrolledKey}</dd></>}
        </>
      )}
      <dt><Trans>Kept by</Trans></dt><dd className="mono">{facts.organisation}</dd>
      <Surely level={facts.level} asOf={facts.asOf} />
    </dl>
  );
}

export function ReceiptFactsList({ facts }: { readonly facts: ReceiptFacts }): ReactElement {
  const pair = Object.hasOwn(RECORDS, facts.type) ? RECORDS[facts.type] : undefined;
  return (
    <dl className="facts">
      <dt><Trans>What</Trans></dt><dd>{pair?.[LANGUAGES.indexOf(locale())] ?? facts.type} <span className="mono">{facts.type}/{facts.id}</span>, <Trans>version {facts.version}</Trans></dd>
      <dt><Trans>Recorded</Trans></dt><dd>{sayTime(facts.time, "long")}</dd>
      <dt><Trans>By</Trans></dt><dd>{facts.author}</dd>
      <dt><Trans>Place in the record</Trans></dt><dd><Trans>entry {sayCount(facts.index + 1)} of {sayCount(facts.chartSize)}</Trans></dd>
      <dt><Trans>The record itself</Trans></dt><dd>{facts.isBodyChecked ? <Trans>was given, and is the one that was recorded</Trans> : <Trans>was not given: only that it exists is shown</Trans>}</dd>
      <dt><Trans>Kept by</Trans></dt><dd className="mono">{facts.organisation}</dd>
      <Surely level={facts.level} asOf={facts.asOf} />
    </dl>
  );
}

export function LightFactsList({ facts }: { readonly facts: LightFacts }): ReactElement {
  return <dl className="facts"><Surely level={facts.level} asOf={facts.asOf} /></dl>;
}

const RULES: Readonly<Record<string, MessageDescriptor>> = {
  "own-chart": msg`you yourself`,
  "custodian-default": msg`people of the house, for your care`,
  "directive-permit": msg`people whom you allowed`,
  emergency: msg`emergencies`,
  operator: msg`technicians of the house`,
  supporting: msg`names of staff and places only`,
};

function Rules({ rules }: { readonly rules: Readonly<Record<string, number>> }): ReactElement {
  const { i18n } = useLingui();
  const say = (known: MessageDescriptor | undefined): string | undefined => known && i18n._(known);
  const named = Object.entries(rules).sort(([, a], [, b]) => b - a);
  return <>{named.map(([rule, count]) => `${sayCount(count)} ${say(lookUp(RULES, rule)) ?? rule}`).join(", ")}</>;
}

/** What the verifier found, as it found it; written out only when somebody opens it. */
export function Raw({ value }: { readonly value: unknown }): ReactElement {
  const { t } = useLingui();
  const [isOpen, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary><Trans>For experts: what the verifier says</Trans></summary>
      {isOpen ? <pre className="mono raw" tabIndex={0} aria-label={t`What the verifier says`}>{JSON.stringify(value, replaceBytes, 2)}</pre> : null}
    </details>
  );
}

function replaceBytes(_name: string, value: unknown): unknown {
  return value instanceof Uint8Array ? `${value.length} bytes` : value;
}
