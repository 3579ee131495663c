import { useLingui } from "@lingui/react/macro";
import { type ReactElement, type ReactNode, useEffect, useId, useRef } from "react";
import { Icon } from "../../components/icon.tsx";
import "./sheet.css";

/** A dialog: at the side on a desk, from below on a phone. The browser keeps the focus in it and gives it back; Escape closes. What has the class `first` has it first. */
export function Sheet({ title, children, onClose, isWide = false }: { readonly title: ReactNode; readonly children: ReactNode; readonly onClose: () => void; readonly isWide?: boolean }): ReactElement {
  const { t } = useLingui();
  const dialog = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    shown?.querySelector<HTMLElement>(".first, .first input")?.focus(); // else the way out has the focus
    return () => shown?.close();
  }, []);
  return (
    <dialog ref={dialog} className={isWide ? "sheet wide" : "sheet"} aria-labelledby={name} onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <div className="sheet-inner">
        <div className="row apart sheet-top">
          <h2 id={name}>{title}</h2>
          <button type="button" className="quiet-button" aria-label={t`Close`} onClick={onClose}><Icon name="cross" /></button>
        </div>
        {children}
      </div>
    </dialog>
  );
}
