import { Trans, useLingui } from "@lingui/react/macro";
import { useMantineColorScheme } from "@mantine/core";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { type ReactElement, useEffect, useRef, useState } from "react";
import { Icon } from "../components/icon.tsx";
import { LOCALES, type Locale, locale, speak } from "../lib/i18n.ts";
import { post } from "../lib/session.ts";
import { useBeginning } from "./beginning-context.ts";
import { goOut } from "./beginning.ts";
import { Idle } from "./idle.tsx";
import { Palette } from "./palette.tsx";
import { type Place, placesOf } from "./places.ts";

/** What stands around every page: the house, the ways, the language, the way out. */
export function Shell(): ReactElement {
  const { session, node } = useBeginning();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else {
      // A page that took the focus itself (the field of a search) keeps it.
      if (main.current?.contains(document.activeElement) !== true) main.current?.focus({ preventScroll: true });
      scrollTo(0, 0); // the router's own memory of places would stay in sessionStorage
    }
    document.title = "CareLedger";
  }, [path]);
  const isAlone = session === null && path === "/";
  return (
    <div className={isAlone ? "shell alone" : "shell"}>
      <a className="skip" href="#main"><Trans>To the content</Trans></a>
      <Top />
      {isAlone ? null : <Ways places={placesOf(session?.kind ?? "anybody")} />}
      <main id="main" ref={main} tabIndex={-1}>
        <Outlet />
      </main>
      {session === null ? null : <Idle session={session} node={node} />}
    </div>
  );
}

function Top(): ReactElement {
  const { house, session } = useBeginning();
  const { t } = useLingui();
  const { setColorScheme, colorScheme } = useMantineColorScheme({ keepTransitions: true });
  const other = colorScheme === "dark" ? "light" : "dark";
  return (
    <header>
      <Link to="/" className="house">{house?.name ?? "CareLedger"}</Link>
      <Palette />
      <Language />
      <button type="button" className="quiet-button" aria-label={other === "dark" ? t`Dark colours` : t`Light colours`} onClick={() => setColorScheme(other)}>
        <Icon name="sun" />
      </button>
      {session === null ? (
        <a className="quiet-button" href="/sign-in?app=1"><Icon name="person" /> <Trans>Sign in</Trans></a>
      ) : (
        <>
          <a className="quiet-button" href="/me"><Icon name="person" /> <span className="words">{session.name}</span><span className="unseen"><Trans>My account</Trans></span></a>
          <button type="button" className="quiet-button" onClick={() => goOut(session)}>
            <Icon name="out" /> <span className="words"><Trans>Sign out</Trans></span><span className="unseen"><Trans>and forget everything on this page</Trans></span>
          </button>
        </>
      )}
    </header>
  );
}

function Language(): ReactElement {
  const { session } = useBeginning();
  const [current, setCurrent] = useState<Locale>(locale());
  const other: Locale = current === "en" ? "es" : "en";
  const choose = async (): Promise<void> => {
    await speak(other);
    setCurrent(other);
    document.cookie = `careledger-spoken=${other}; path=/; max-age=31536000; samesite=lax`;
    if (session !== null) await post("/language", session.csrf, { language: other }).catch(() => undefined);
  };
  return (
    <button type="button" className="quiet-button" lang={other} onClick={() => void choose()}>
      <span className="words">{LOCALES[other].name}</span><span className="code">{other.toUpperCase()}<span className="unseen"> {LOCALES[other].name}</span></span>
    </button>
  );
}

/** So many words stand side by side at the foot of a phone of 360 px, in Spanish too; the others are behind "More". */
const BAR_MAX = 5;

function Ways({ places }: { readonly places: readonly Place[] }): ReactElement {
  const { t } = useLingui();
  const ranked = places.filter((place) => place.rank === "main");
  const main = ranked.slice(0, BAR_MAX);
  const more = [...ranked.slice(BAR_MAX), ...places.filter((place) => place.rank === "more")];
  return (
    <nav aria-label={t`Pages`}>
      <ul className="plain">
        {main.map((place) => <Way key={place.path} place={place} />)}
        {more.length === 0 ? null : <More places={more} />}
      </ul>
    </nav>
  );
}

/** On a phone a fold, on a desk simply more of the list. */
function More({ places }: { readonly places: readonly Place[] }): ReactElement {
  const [isOpen, setOpen] = useState(() => matchMedia("(min-width: 761px)").matches);
  useEffect(() => {
    const wide = matchMedia("(min-width: 761px)");
    const follow = (): void => setOpen(wide.matches);
    wide.addEventListener("change", follow);
    return () => wide.removeEventListener("change", follow);
  }, []);
  const close = (): void => setOpen(matchMedia("(min-width: 761px)").matches);
  return (
    <li>
      <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary><Icon name="more" /> <Trans>More</Trans></summary>
        <ul className="plain" onClick={close}>{places.map((place) => <Way key={place.path} place={place} />)}</ul>
      </details>
    </li>
  );
}

function Way({ place }: { readonly place: Place }): ReactElement {
  const { i18n } = useLingui();
  return (
    <li>
      <Link to={place.path} activeProps={{ "aria-current": "page" }}>
        <Icon name={place.icon} /> <span>{i18n._(place.name)}</span>
      </Link>
    </li>
  );
}
