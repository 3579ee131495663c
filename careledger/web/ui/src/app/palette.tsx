import { Trans } from "@lingui/react/macro";
import { type ReactElement, lazy, Suspense, useEffect, useState } from "react";
import { Icon } from "../components/icon.tsx";

const Commands = lazy(async () => ({ default: (await import("./commands.tsx")).Commands }));

const KEYS = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘ K" : "Ctrl K";

/** ⌘K or Ctrl K, or the button that names them: the commands. Their code is loaded when somebody first wants them. */
export function Palette(): ReactElement {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() !== "k" || !(event.metaKey || event.ctrlKey)) return;
      event.preventDefault();
      setOpen((was) => !was);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  return (
    <>
      <button type="button" className="quiet-button go-to" aria-haspopup="dialog" aria-keyshortcuts="Control+K Meta+K" onClick={() => setOpen(true)}>
        <Icon name="search" /> <Trans>Go to</Trans> <kbd className="combination">{KEYS}</kbd>
      </button>
      {isOpen ? <Suspense fallback={null}><Commands onClose={() => setOpen(false)} /></Suspense> : null}
    </>
  );
}
