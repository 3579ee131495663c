import { Trans, useLingui } from "@lingui/react/macro";
import { useNavigate } from "@tanstack/react-router";
import { type ReactElement, useState } from "react";
import { Sheet } from "./sheet.tsx";
import { stepLine, turnKeys, useKeys, useKeysOn } from "./keys.ts";

/** The button that names the keys; and the keys that hold on every page of the clinician's. */
export function KeysHelp(): ReactElement {
  const { t } = useLingui();
  const [isOpen, setOpen] = useState(false);
  const isOn = useKeysOn();
  const navigate = useNavigate();
  useKeys({
    "?": () => setOpen(true),
    "g p": () => void navigate({ to: "/app/patients" }),
    "g c": () => void navigate({ to: "/app/chart" }),
    j: () => stepLine(1),
    k: () => stepLine(-1),
  });
  return (
    <>
      <button type="button" className="quiet-button no-print" onClick={() => setOpen(true)}><Trans>Keys</Trans> <kbd>?</kbd></button>
      {isOpen ? (
        <Sheet title={t`Keys`} onClose={() => setOpen(false)}>
          <dl className="facts">
            <dt><kbd>⌘ K</kbd> / <kbd>Ctrl K</kbd></dt><dd><Trans>go to a patient or a page</Trans></dd>
            <dt><kbd>/</kbd></dt><dd><Trans>search patients</Trans></dd>
            <dt><kbd>g</kbd> <kbd>p</kbd></dt><dd><Trans>to the patients</Trans></dd>
            <dt><kbd>g</kbd> <kbd>c</kbd></dt><dd><Trans>to the open chart</Trans></dd>
            <dt><kbd>j</kbd> / <kbd>k</kbd></dt><dd><Trans>next line, line before</Trans></dd>
            <dt><kbd>Enter</kbd></dt><dd><Trans>details of the line</Trans></dd>
            <dt><kbd>n</kbd></dt><dd><Trans>in a chart: a new medicine</Trans></dd>
            <dt><kbd>s</kbd> <kbd>d</kbd> <kbd>r</kbd></dt><dd><Trans>on a medicine: stop, dose, renew</Trans></dd>
            <dt><kbd>a</kbd></dt><dd><Trans>in a chart: open an app</Trans></dd>
            <dt><kbd>Esc</kbd></dt><dd><Trans>close</Trans></dd>
          </dl>
          <label className="row"><input type="checkbox" checked={isOn} onChange={(event) => turnKeys(event.target.checked)} /> <Trans>Keys without Ctrl or ⌘ do something</Trans></label>
        </Sheet>
      ) : null}
    </>
  );
}
