// The pages' script: buttons that run a passkey's ceremony, and forms that want one before they are sent.

import { type Act, Refused, isPossible, run } from "./passkeys.ts";

const page = document.body.dataset;
const csrf = page["csrf"] ?? "";
const MARGIN_SECONDS = 20;
const freshUntil = performance.now() + 1000 * (Number(page["fresh"] ?? "0") - MARGIN_SECONDS);

function say(text: string): void {
  const status = document.getElementById("status");
  if (status !== null) status.textContent = text;
}

/** Runs it with the button off and the person told; false if it did not work. */
async function guard(button: HTMLButtonElement | null, doing: () => Promise<void>): Promise<void> {
  if (!isPossible()) {
    say(page["noPasskeys"] ?? "");
    return;
  }
  say(page["working"] ?? "");
  if (button !== null) button.disabled = true;
  try {
    await doing();
  } catch (error) {
    say(error instanceof Refused && error.message !== "" ? error.message : (page["failed"] ?? ""));
  } finally {
    if (button !== null) button.disabled = false;
  }
}

/** Verifies the person again, unless the node did so a moment ago; the node decides, this only saves a gesture. */
async function confirm(): Promise<void> {
  if (performance.now() < freshUntil) return;
  await run("get", "/step-up/options", "/step-up/answer", csrf);
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-ceremony]")) {
  button.disabled = false; // it came off: pressed before this script ran, it would do nothing
  button.addEventListener("click", () => {
    void guard(button, async () => {
      const { ceremony, begin = "", finish = "", next = "/me" } = button.dataset;
      if ("confirm" in button.dataset) await confirm();
      const told = await run(ceremony as Act, begin, finish, csrf);
      location.assign(told === "" ? next : told);
    });
  });
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-step-up]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void guard(form.querySelector("button"), async () => {
      await confirm();
      form.submit();
    });
  });
}

// The link of an invitation ends in #CODE: what follows # reaches no server, log or referrer. Typed in here, and forgotten.
const code = document.querySelector<HTMLInputElement>("form[action='/enrol'] input[name='code']");
if (code !== null && location.hash.length > 1) {
  code.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
