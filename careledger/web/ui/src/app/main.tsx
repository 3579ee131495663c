import "@mantine/core/styles/baseline.css";
import "virtual:theme.css";
import "@mantine/core/styles/global.css";
import "@mantine/core/styles/UnstyledButton.css";
import "@mantine/core/styles/Button.css";
import "@mantine/core/styles/Loader.css";
import "@mantine/core/styles/Paper.css";
import "../components/base.css";
import "./shell.css";
import { createRoot } from "react-dom/client";
import { addCatalog, findLocale, speak } from "../lib/i18n.ts";
import { App } from "./app.tsx";
import { begin } from "./beginning.ts";
import { forgetWhenLeft } from "./leaving.ts";
import { allowOwnScripts } from "./policy.ts";

allowOwnScripts();

async function start(): Promise<void> {
  const place = document.getElementById("app");
  if (place === null) return;
  await speak(findLocale([document.cookie.match(/(?:^|; )careledger-spoken=(\w\w)/)?.[1] ?? "", ...navigator.languages]));
  const [beginning] = await Promise.all([
    begin(),
    addCatalog({ en: () => import("./locales/en.po"), es: () => import("./locales/es.po") }),
  ]);
  const root = createRoot(place);
  root.render(<App beginning={beginning} />);
  forgetWhenLeft(() => root.unmount());
}

/** The application opens without a network from the second time on. */
function keepOffline(): void {
  if ("serviceWorker" in navigator) void navigator.serviceWorker.register("/sw.js").catch(() => undefined);
}

void start();
addEventListener("load", keepOffline);
