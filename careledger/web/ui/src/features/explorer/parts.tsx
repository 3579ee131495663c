import { Trans, useLingui } from "@lingui/react/macro";
import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactElement, type ReactNode, useState } from "react";
import { Loading, Problem } from "../../components/states.tsx";
import { useMaybePresent } from "../../lib/context.ts";
import { Refusal } from "../../lib/refusal.ts";
import { sayCount, sayTime } from "../../lib/words.ts";
import type { BlockRow, Message, Transaction } from "./ledger.ts";
import { callParty, shorten, wordsOf } from "./words.ts";
import "./explorer.css";

interface Asked<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  readonly isPending: boolean;
  readonly refetch: () => unknown;
}

/** Something of the ledger: on its way, refused, or there. A stranger whom the house lets read nothing is told how to come in. */
export function Shown<T>({ asked, children }: { readonly asked: Asked<T>; readonly children: (data: T) => ReactNode }): ReactElement {
  const isStranger = useMaybePresent() === null;
  if (asked.data !== undefined) return <>{children(asked.data)}</>;
  if (asked.isPending) return <Loading />;
  if (isStranger && asked.error instanceof Refusal && asked.error.status === 401) {
    return (
      <div className="notice">
        <p><Trans>This house shows its ledger to people who are signed in.</Trans></p>
        <p><a href="/sign-in?app=1"><Trans>Sign in</Trans></a></p>
      </div>
    );
  }
  return <Problem error={asked.error} onRetry={() => void asked.refetch()} />;
}

/** Heading, the ways within the explorer, and the search, on each of its pages. */
export function Frame({ title, json, children }: { readonly title: ReactNode; readonly json?: string; readonly children: ReactNode }): ReactElement {
  return (
    <section className="explorer">
      <h1>{title}</h1>
      <div className="row apart">
        <nav aria-labelledby="ledger-pages">
          <span id="ledger-pages" className="unseen"><Trans>Pages of the ledger</Trans></span>
          <Link to="/explorer" activeOptions={{ exact: true }}><Trans>Newest</Trans></Link> · <Link to="/explorer/validators"><Trans>Validators</Trans></Link>
          {json === undefined ? null : <> · <a href={`/api${json}`} rel="nofollow"><Trans>This page as JSON</Trans></a></>}
        </nav>
        <SearchForm />
      </div>
      {children}
    </section>
  );
}

function SearchForm(): ReactElement {
  const { t } = useLingui();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const go = (event: FormEvent): void => {
    event.preventDefault();
    const wanted = text.trim();
    if (wanted !== "") void navigate({ to: "/explorer/search", search: { q: wanted } as never });
  };
  return (
    <form role="search" onSubmit={go} className="row">
      <input type="search" value={text} maxLength={128} onChange={(event) => setText(event.target.value)} aria-label={t`Search the ledger`} placeholder={t`Block, transaction, organisation`} />
      <button type="submit" className="quiet-button bordered"><Trans>Search</Trans></button>
    </form>
  );
}

/** Blocks as rows, each with what it holds in words. */
export function BlockTable({ blocks }: { readonly blocks: readonly BlockRow[] }): ReactElement {
  const { i18n } = useLingui();
  return (
    <div className="scroll" role="region" tabIndex={0} aria-labelledby="blocks-caption">
      <table className="plain blocks" role="table">
        <caption className="unseen" id="blocks-caption"><Trans>Blocks, newest first</Trans></caption>
        <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col"><Trans>Block</Trans></th><th role="columnheader" scope="col"><Trans>When</Trans></th><th role="columnheader" scope="col"><Trans>What happened</Trans></th><th role="columnheader" scope="col"><Trans>Seal</Trans></th></tr></thead>
        <tbody role="rowgroup">
          {blocks.map((block) => (
            <tr role="row" key={block.height}>
              <td role="cell"><Link to="/explorer/blocks/$height" params={{ height: String(block.height) } as never}>{sayCount(block.height)}</Link></td>
              <td role="cell" className="whole">{sayTime(block.time_ms)}</td>
              <td role="cell">
                {block.transactions === 0 ? <span className="soft"><Trans>Nothing</Trans></span> : (
                  <ul className="plain">{Object.entries(block.types).map(([type, count]) => {
                    const words = wordsOf(type);
                    return <li key={type}>{words === undefined ? type : i18n._(words)}{count > 1 ? ` (× ${sayCount(count)})` : ""}</li>;
                  })}</ul>
                )}
                {block.refused > 0 ? <span className="tag warn"><Trans>{block.refused} refused</Trans></span> : null}
              </td>
              <td role="cell" className="mono whole">{shorten(block.hash)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Transactions as cards: what was done, by whom, with which result. */
export function TransactionList({ list }: { readonly list: readonly Transaction[] }): ReactElement {
  return (
    <ol className="plain stack">
      {list.map((one) => (
        <li key={one.hash} className="card">
          <p className="row apart">
            <Link to="/explorer/transactions/$hash" params={{ hash: one.hash } as never} className="mono">{shorten(one.hash)}</Link>
            <Result transaction={one} />
          </p>
          <Messages messages={one.messages} />
          <p className="soft small"><Trans>Signed for {callParty(one.sponsor)}</Trans></p>
        </li>
      ))}
    </ol>
  );
}

/** Whether it was executed, or which rule refused it. A refused one changed nothing. */
export function Result({ transaction }: { readonly transaction: Transaction }): ReactElement {
  if (transaction.result.code === 0) return <span className="tag good"><Trans>Executed</Trans></span>;
  return <span className="tag bad"><Trans>Refused: {transaction.result.words}</Trans></span>;
}

/** Messages in words; their fields behind. */
export function Messages({ messages }: { readonly messages: readonly Message[] }): ReactElement {
  const { i18n } = useLingui();
  return (
    <ul className="plain">
      {messages.map((message, index) => {
        const words = wordsOf(message.type);
        return (
          <li key={`${message.type}-${index}`}>
            <p>{words === undefined ? message.words : i18n._(words)}</p>
            <details>
              <summary className="small"><Trans>Its fields</Trans> <span className="mono">({message.type})</span></summary>
              <Fields fields={message.fields} />
            </details>
          </li>
        );
      })}
    </ul>
  );
}

function Fields({ fields }: { readonly fields: Readonly<Record<string, unknown>> }): ReactElement {
  return (
    <dl className="facts">
      {Object.entries(fields).map(([name, value]) => (
        <div key={name} className="fact"><dt>{name}</dt><dd className="mono">{typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value)}</dd></div>
      ))}
    </dl>
  );
}
