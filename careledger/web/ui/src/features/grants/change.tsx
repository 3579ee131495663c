import { Trans, useLingui } from "@lingui/react/macro";
import type { ReactElement } from "react";
import type { Change } from "./effects.ts";
import { purposeOf, ThingName, WHYS } from "./words.tsx";

/** What somebody sees now, and what afterwards; rows that change are marked in words too. */
export function Changes({ who, changes }: { readonly who: string; readonly changes: readonly Change[] }): ReactElement {
  const { t, i18n } = useLingui();
  const changing = changes.filter((one) => one.before !== one.after);
  const isAlone = changes.every((one) => one.thing.type === changes[0]?.thing.type);
  if (changing.length === 0) return <p className="notice"><Trans>For {who} nothing changes by this: it is so already.</Trans></p>;
  return (
    <div className="scroll" tabIndex={0} role="group" aria-label={t`What would change`}>
      <table className="plain small changes">
        <caption><Trans>What {who} sees, now and afterwards</Trans></caption>
        <thead><tr><th scope="col"><Trans>What, and what for</Trans></th><th scope="col"><Trans>Now</Trans></th><th scope="col"><Trans>Afterwards</Trans></th></tr></thead>
        <tbody>
          {changes.map((one) => (
            <tr key={`${one.purpose} ${one.thing.type} ${one.thing.category?.code ?? ""}`} className={one.before === one.after ? "soft" : "strong"}>
              <th scope="row"><ThingName thing={one.thing} isAlone={isAlone} />, {purposeOf(one.purpose)}</th>
              <td>{i18n._(WHYS[one.before])}</td>
              <td>{one.before === one.after ? <Trans>as now</Trans> : i18n._(WHYS[one.after])}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="soft small"><Trans>In an emergency, staff may overrule this for some hours: you would see it under “Who looked”. Nobody is kept from writing new entries.</Trans></p>
    </div>
  );
}
