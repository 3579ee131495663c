import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import { act, cleanup, render } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Node } from "../lib/node.ts";
import { Tokens } from "../lib/oauth.ts";
import { hearTabs, type Session, signOut } from "../lib/session.ts";
import { Idle } from "./idle.tsx";

const SESSION: Session = { kind: "patient", account: "a1", name: "Ada", fhirUser: "Patient/ada", csrf: "c", idle: 100, fresh: 300, isOnboarded: true };
const asked: string[] = [];
let heard: string[] = [];
let stop = (): void => undefined;
let now: Session | null = SESSION;
let isOut = false;
let isHung = false;

/** Another tab: what it is told, and what it says. */
const other = new BroadcastChannel("careledger-session");

function answer(path: string): Promise<Response> {
  asked.push(path);
  if (path === "/session") return Promise.resolve(new Response(JSON.stringify({ name: "Clinic", session: now })));
  if (isHung) return new Promise(() => undefined);
  return Promise.resolve(isOut ? Response.error() : new Response("{}"));
}

async function turn(): Promise<void> {
  await act(async () => { for (let n = 0; n < 4; n += 1) await new Promise((resolve) => setImmediate(resolve)); });
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  vi.stubGlobal("fetch", answer);
  Object.defineProperty(location, "replace", { value: (to: string) => void asked.push(`to ${to}`), configurable: true });
  asked.length = 0;
  heard = [];
  stop = hearTabs((told) => void heard.push(told));
  now = SESSION;
  isOut = false;
  isHung = false;
  i18n.load("en", {});
  i18n.activate("en");
});

afterEach(() => {
  stop();
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function open(): Node {
  const node = new Node(new Tokens("patient"), () => undefined);
  render(<I18nProvider i18n={i18n}><MantineProvider><Idle session={SESSION} node={node} /><p>of Ada</p></MantineProvider></I18nProvider>);
  return node;
}

async function wait(seconds: number): Promise<void> {
  await act(async () => { await vi.advanceTimersByTimeAsync(1000 * seconds); });
  await turn();
}

it("what ends in one tab is gone from all: screen, tokens, for every purpose", async () => {
  const node = open();
  const emergency = node.forPurpose("ETREAT");
  expect(document.body.textContent).toContain("of Ada");
  await signOut(SESSION);
  await turn();
  expect(document.body.textContent).toBe("");
  expect(asked).toEqual(["/sign-out", "to /?ended"]);
  for (const one of [node, emergency]) await expect(one.api("/me")).rejects.toMatchObject({ status: 401 });
  expect(asked).toHaveLength(2);
});

it("tabs that cannot reach the node forget all the same", async () => {
  open();
  isOut = true;
  await signOut(SESSION).catch(() => undefined);
  await turn();
  expect(document.body.textContent).toBe("");
});

it("a touch in another tab keeps this one; when nobody is anywhere, it ends for all", async () => {
  open();
  await wait(95);
  other.postMessage("alive");
  await turn();
  await wait(95);
  expect(asked).not.toContain("/sign-out");
  await wait(6);
  expect(asked).toContain("/sign-out");
  expect(heard).toContain("ended");
  expect(document.body.textContent).toBe("");
});

it("a page that comes into view again and is another's, or nobody's, forgets", async () => {
  open();
  document.dispatchEvent(new Event("visibilitychange"));
  await turn();
  expect(asked).toEqual(["/session"]);
  now = { ...SESSION, account: "a2", fhirUser: "Patient/bob" };
  document.dispatchEvent(new Event("visibilitychange"));
  await turn();
  expect(document.body.textContent).toBe("");
  expect(heard).toContain("ended");
});

it("a network that swallows everything keeps nothing on the screen, and no tab open", async () => {
  open();
  isHung = true;
  await wait(101);
  expect(document.body.textContent).toBe("");
  expect(heard).not.toContain("ended");
  await wait(4);
  expect(heard).toContain("ended");
  expect(asked).toContain("to /?ended");
  expect(asked.filter((path) => path === "/sign-out")).toHaveLength(1);
});
