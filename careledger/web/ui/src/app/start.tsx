import { startTransition } from "react";
import { createRoot } from "react-dom/client";
import { addCatalog, findLocale, speak } from "../lib/i18n.ts";
import { App } from "./app.tsx";
import { begin } from "./beginning.ts";
import { forgetWhenLeft } from "./leaving.ts";
import { PLACES } from "./places.ts";

/** Shows the application to whoever the answer of `GET /session` names. */
export async function start(asked: Promise<Response>): Promise<void> {
  const place = document.getElementById("app");
  if (place === null) return;
  await speak(findLocale([document.cookie.match(/(?:^|; )careledger-spoken=(\w\w)/)?.[1] ?? "", ...navigator.languages]));
  fetchPage(location.pathname);
  const [beginning] = await Promise.all([
    begin(asked),
    addCatalog({ en: () => import("./locales/en.po"), es: () => import("./locales/es.po") }),
  ]);
  const root = createRoot(place);
  startTransition(() => root.render(<App beginning={beginning} />)); // in slices: a phone answers to fingers meanwhile
  forgetWhenLeft(() => root.unmount());
}

/** The code and words of the page at this address come while the node is asked who is here; whether it is shown is its answer. */
function fetchPage(path: string): void {
  const place = PLACES.find((one) => one.path === path);
  if (place !== undefined) void Promise.all([place.page(), addCatalog(place.catalog)]).catch(() => undefined);
}
