import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type ReactElement, useEffect, useRef, useState } from "react";
import { type Session, signOut, stayAlive } from "../lib/session.ts";
import { leave } from "./beginning.ts";

const WARN_S = 60;
const ALIVE_EVERY_S = 60;
const TOUCHES = ["pointerdown", "keydown", "wheel", "touchstart"] as const;

/** Signs out whoever walked away: warned a minute before, and nothing stays on the screen afterwards. */
export function Idle({ session }: { readonly session: Session }): ReactElement | null {
  const touchedMs = useRef(Date.now());
  const toldMs = useRef(Date.now());
  const [left, setLeft] = useState(session.idle);
  useEffect(() => {
    const touch = (): void => {
      touchedMs.current = Date.now();
    };
    for (const name of TOUCHES) addEventListener(name, touch, { passive: true });
    const timer = setInterval(() => {
      const idleS = (Date.now() - touchedMs.current) / 1000;
      setLeft(Math.ceil(session.idle - idleS));
      if (idleS >= session.idle) void signOut(session).finally(leave);
      else if (touchedMs.current > toldMs.current && Date.now() - toldMs.current > 1000 * ALIVE_EVERY_S) {
        toldMs.current = Date.now();
        void stayAlive().then((is) => (is ? undefined : leave()), () => undefined);
      }
    }, 1000);
    return () => {
      clearInterval(timer);
      for (const name of TOUCHES) removeEventListener(name, touch);
    };
  }, [session]);
  if (left > WARN_S) return null;
  return (
    <div className="idle notice warn" role="alertdialog" aria-labelledby="idle-title">
      <p id="idle-title" className="strong"><Trans>Are you still there?</Trans></p>
      <p><Trans>In {Math.max(left, 0)} seconds you will be signed out, so that nobody else reads on.</Trans></p>
      <Button onClick={() => { touchedMs.current = Date.now(); setLeft(session.idle); }}><Trans>I am here</Trans></Button>
    </div>
  );
}
