import { useNavigate, useRouterState } from "@tanstack/react-router";
import { lazy, type ReactElement, type ReactNode, Suspense } from "react";
import { Loading } from "../../components/states.tsx";
import { splitReference } from "../../lib/history.ts";

const Entry = lazy(async () => ({ default: (await import("./entry.tsx")).EntryDialog }));

/** The entry that this history entry has open, if any. The browser's "back" closes it; no address names it. */
export function OpenEntry(): ReactElement | null {
  const opened = splitReference(useRouterState({ select: (state) => state.location.state.entry }));
  if (opened === undefined) return null;
  const [type, id] = opened;
  return (
    <Suspense fallback={<Loading />}>
      <Entry key={`${type}/${id}`} type={type} id={id} onClose={() => history.back()} />
    </Suspense>
  );
}

/** A button that opens an entry of the record. */
export function EntryButton({ reference, className, children }: { readonly reference: string; readonly className?: string; readonly children: ReactNode }): ReactElement {
  const navigate = useNavigate();
  const open = (): void => void navigate({ to: ".", state: { entry: reference }, resetScroll: false });
  return <button type="button" aria-haspopup="dialog" className={className ?? "entry"} onClick={open}>{children}</button>;
}
