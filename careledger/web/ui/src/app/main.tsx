import "@mantine/core/styles/baseline.css";
import "virtual:theme.css";
import "@mantine/core/styles/global.css";
import "@mantine/core/styles/UnstyledButton.css";
import "@mantine/core/styles/Button.css";
import "@mantine/core/styles/Loader.css";
import "@mantine/core/styles/Paper.css";
import "../components/base.css";
import "./shell.css";
import { allowOwnScripts } from "./policy.ts";

allowOwnScripts();

/**
 * This file is small and imports nothing of the application: it asks who is here while the rest is still on its way, and a
 * phone has a moment between the two. The page names the rest's files already (vite.config.ts), so they come at once.
 */
const asked = fetch("/session", { credentials: "same-origin", cache: "no-store" });
asked.catch(() => undefined); // heard by whoever reads the answer
void import("./start.tsx").then(({ start }) => start(asked));

/** The application opens without a network from the second time on. */
function keepOffline(): void {
  if ("serviceWorker" in navigator) void navigator.serviceWorker.register("/sw.js").catch(() => undefined);
}

addEventListener("load", keepOffline);
