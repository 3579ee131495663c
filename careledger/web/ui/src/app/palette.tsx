import { type ReactElement, lazy, Suspense, useEffect, useState } from "react";

const Commands = lazy(async () => ({ default: (await import("./commands.tsx")).Commands }));

/** ⌘K or Ctrl K: the commands. Their code is loaded when somebody first wants them. */
export function Palette(): ReactElement | null {
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
  if (!isOpen) return null;
  return <Suspense fallback={null}><Commands onClose={() => setOpen(false)} /></Suspense>;
}
