import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import { type ReactElement, useEffect, useRef, useState } from "react";
import type { Node } from "../lib/node.ts";
import { hearTabs, type Session, stayAlive, tellTabs } from "../lib/session.ts";
import { goOut, leave, leaveAll } from "./beginning.ts";

const WARN_S = 60;
const ALIVE_EVERY_S = 60;
const TELL_EVERY_MS = 5_000;
const TOUCHES = ["pointerdown", "keydown", "wheel", "touchstart"] as const;

/**
 * Signs out whoever walked away: warned a minute before, and nothing stays on the screen afterwards. All tabs are one session:
 * a touch in one counts for all, and when one ends, each forgets everything at once.
 */
export function Idle({ session, node }: { readonly session: Session; readonly node: Node | null }): ReactElement | null {
  const touchedMs = useRef(Date.now());
  const toldMs = useRef(Date.now());
  const [left, setLeft] = useState(session.idle);
  useEndings(session, node, touchedMs);
  useEffect(() => {
    let spokeMs = 0;
    const touch = (): void => {
      touchedMs.current = Date.now();
      if (touchedMs.current - spokeMs < TELL_EVERY_MS) return;
      spokeMs = touchedMs.current;
      tellTabs("alive");
    };
    for (const name of TOUCHES) addEventListener(name, touch, { passive: true });
    const timer = setInterval(() => {
      const idleS = (Date.now() - touchedMs.current) / 1000;
      setLeft(Math.ceil(session.idle - idleS));
      if (idleS >= session.idle) {
        clearInterval(timer);
        goOut(session);
      } else if (touchedMs.current > toldMs.current && Date.now() - toldMs.current > 1000 * ALIVE_EVERY_S) {
        toldMs.current = Date.now();
        void stayAlive(session).then((is) => (is ? undefined : leaveAll()), () => undefined);
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

/** Hears that the session has ended: from another tab at once, and from the node when the page comes into view again. */
function useEndings(session: Session, node: Node | null, touchedMs: { current: number }): void {
  useEffect(() => {
    const stop = hearTabs((told) => {
      if (told === "alive") {
        touchedMs.current = Date.now();
        return;
      }
      node?.end();
      leave();
    });
    const look = (): void => {
      if (document.visibilityState === "visible") void stayAlive(session).then((is) => (is ? undefined : leaveAll()), () => undefined);
    };
    document.addEventListener("visibilitychange", look);
    return () => {
      stop();
      document.removeEventListener("visibilitychange", look);
    };
  }, [session, node, touchedMs]);
}
