// The script of what a patient decides on our pages: her passkey becomes her chart's key; a program's consent is signed.

import { composeAs, fromHex, prfInputs, sign, toHex, type Prepared, type Terms } from "../lib/directives.ts";
import type { Bytes } from "../lib/encoding.ts";
import { enrolPasskey, keepWraps, OtherKit, prepareCopies } from "../lib/enrolling.ts";
import { ask, NoGesture } from "../lib/gesture.ts";
import { run } from "./passkeys.ts";

const page = document.body.dataset;
const csrf = page["csrf"] ?? "";

interface Told {
  readonly next?: string;
  readonly error?: string;
  readonly hint?: string;
  readonly code?: string;
}

/** The node said no, and why. */
class Said extends Error {
  readonly code: string;

  constructor(told: Told) {
    super([told.error, told.hint].filter(Boolean).join(" "));
    this.code = told.code ?? "";
  }
}

function say(text: string): void {
  const status = document.getElementById("status");
  if (status !== null) status.textContent = text;
}

async function post(path: string, content: object): Promise<Told> {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf": csrf },
    body: JSON.stringify(content),
    credentials: "same-origin",
    redirect: "error",
  });
  const told = (await answer.json()) as Told;
  if (!answer.ok) throw new Said(told);
  return told;
}

/** As `post`; where the node wants her verified anew, by one more gesture. */
async function postVerified(path: string, content: object): Promise<Told> {
  try {
    return await post(path, content);
  } catch (error) {
    if (!(error instanceof Said) || error.code !== "step-up-needed") throw error;
    await run("get", "/step-up/options", "/step-up/answer", csrf);
    return post(path, content);
  }
}

async function guard(button: HTMLButtonElement, doing: () => Promise<void>): Promise<void> {
  say(page["working"] ?? "");
  button.disabled = true;
  try {
    await doing();
  } catch (error) {
    say(error instanceof Said && error.message !== "" ? error.message : (page["failed"] ?? ""));
  } finally {
    button.disabled = false;
  }
}

function showKit(code: string): void {
  const place = document.getElementById("printed-kit");
  if (place === null) return;
  place.textContent = code;
  place.hidden = false;
  place.closest("section")?.querySelector("[data-kit-text]")?.removeAttribute("hidden");
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-decide]")) {
  button.addEventListener("click", () => {
    void guard(button, async () => {
      const word = document.querySelector<HTMLInputElement>("[name='decision-kit']")?.value.trim() ?? "";
      const wrapping = await enrolPasskey(post, button.dataset["decide"] ?? "", word, showKit);
      button.hidden = true;
      // The passkey decides, whatever becomes of this: the page offers it again.
      await keepWraps(postVerified, wrapping).catch(() => undefined);
      say(button.dataset["done"] ?? "");
    });
  });
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copies]")) {
  button.addEventListener("click", () => {
    void guard(button, async () => {
      const kit = document.querySelector<HTMLInputElement>("[name='copies-kit']");
      try {
        await prepareCopies(postVerified, kit?.value ?? "");
      } catch (error) {
        if (!(error instanceof OtherKit)) throw error;
        say(button.dataset["otherKit"] ?? "");
        return;
      }
      if (kit !== null) kit.value = "";
      button.hidden = true;
      say(button.dataset["done"] ?? "");
    });
  });
}

// What she allows an app, signed: the very lines of this page (docs/spec/consent.md, Apps).

interface Asked {
  readonly prepared: Prepared;
  readonly client: string;
  readonly today: number;
  readonly language: "en" | "es";
}

interface Ticked {
  readonly kept: readonly string[];
  readonly lines: readonly string[];
  readonly types: readonly string[];
  readonly days: number;
}

const ATTEMPTS = 3;

/** What is ticked, with the lines as they stand on the page. */
function readTicked(form: HTMLFormElement): Ticked {
  const boxes = [...form.querySelectorAll<HTMLInputElement>("input[name='kept']")].filter((box) => box.checked);
  const chosen = form.querySelector<HTMLInputElement>("input[name='days']:checked");
  const isOffline = chosen !== null && boxes.some((box) => box.value === "offline_access");
  const label = (box: HTMLInputElement): string => form.querySelector(`label[for='${box.id}']`)?.textContent ?? "";
  const types = boxes.flatMap((box) => (box.dataset["type"] === undefined ? [] : [box.dataset["type"]]));
  return {
    kept: boxes.map((box) => box.value),
    lines: [
      document.querySelector(".heading")?.textContent ?? "",
      ...boxes.map(label),
      isOffline ? label(chosen) : (form.dataset["session"] ?? ""),
    ],
    types: types.includes("*") ? [] : types,
    days: isOffline ? Number(chosen.value) : 0,
  };
}

async function signConsent(form: HTMLFormElement): Promise<string> {
  const ticked = readTicked(form);
  const field = (name: string): string => form.querySelector<HTMLInputElement>(`input[name='${name}']`)?.value ?? "";
  const path = form.dataset["sign"] ?? "";
  const asked = (await post(`${path}/options`, { ticket: field("ticket") })) as unknown as Asked;
  const terms: Terms = {
    effect: "permit",
    grantees: [{ kind: "client", value: asked.client }],
    actions: ["access"],
    purposes: ["PATRQT"],
    types: ticked.types,
    categories: [],
    labels: [],
    from_day: asked.today,
    until_day: asked.today + Math.max(ticked.days, 1),
    supersedes: "",
  };
  const [nonce, salt] = [random(), random()];
  const draft = composeAs(ticked.lines.join("\n"), terms, asked.prepared, asked.language, nonce, salt);
  const gesture = await ask(fromHex(asked.prepared.credential), draft.commitment, prfInputs(nonce));
  if (gesture.secrets === undefined) throw new NoGesture();
  await wait(asked.prepared.delay_s);
  let prepared = asked.prepared;
  for (let attempt = 1; ; attempt++) {
    try {
      const grant = sign(draft, prepared, gesture.secrets, gesture.signature);
      const said = { ticket: field("ticket"), shown: field("shown"), kept: ticked.kept, days: String(ticked.days || ""), grant };
      const { next } = await post(`${path}/answer`, { ...said, code: toHex(gesture.secrets.code) });
      return next ?? "";
    } catch (error) {
      // Somebody else's transaction took this sequence: nothing but the transaction is signed again, without a gesture.
      if (!(error instanceof Said) || error.code !== "sequence-moved" || attempt === ATTEMPTS) throw error;
      ({ prepared } = (await post(`${path}/options`, { ticket: field("ticket") })) as unknown as Asked);
    }
  }
}

function random(): Bytes {
  return crypto.getRandomValues(new Uint8Array(32));
}

/** A random time up to so many seconds. */
async function wait(seconds: number): Promise<void> {
  const part = (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
  await new Promise((done) => setTimeout(done, 1000 * seconds * part));
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-sign-button]")) {
  button.addEventListener("click", () => {
    void guard(button, async () => {
      const form = button.closest("form");
      if (form !== null) location.assign(await signConsent(form));
    });
  });
}
