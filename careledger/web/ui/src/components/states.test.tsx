import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import { render } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { Tokens } from "../lib/oauth.ts";
import { Node } from "../lib/node.ts";
import { Problem } from "./states.tsx";

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

/** What somebody reads who asks for a token of an application that the node refuses. */
async function read(isAppOn: boolean): Promise<string> {
  const refused = Object.defineProperty(new Response("<p>not known here</p>", { status: 400 }), "url", { value: `${location.origin}/oauth/authorize` });
  vi.stubGlobal("fetch", (path: string) => Promise.resolve(path === "/session" ? new Response(JSON.stringify({ isAppOn, session: null })) : refused));
  const error: unknown = await new Tokens("patient").get().catch((refused: unknown) => refused);
  i18n.load("en", {});
  i18n.activate("en");
  const { container } = render(<I18nProvider i18n={i18n}><MantineProvider><Problem error={error} /></MantineProvider></I18nProvider>);
  return container.textContent ?? "";
}

it("says that the application was switched off, and whom to ask; and says so of nothing else", async () => {
  const said = await read(false);
  expect(said).toContain("administrators of this house have switched this application off");
  expect(said).toContain("Ask the house's administrators");
  expect(await read(true)).not.toContain("switched");
});

it("says of a damaged store that it is one, also where one search of several met it, and where to check", async () => {
  const outcome = { resourceType: "OperationOutcome", issue: [{ code: "exception", details: { coding: [{ code: "corrupt" }] }, diagnostics: "not what was committed; run: careledger fsck" }] };
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify({ resourceType: "Bundle", entry: [{ response: { status: "500", outcome } }] }))));
  const node = new Node({ get: () => Promise.resolve("token") } as unknown as Tokens, () => undefined);
  const error: unknown = await node.searches([{ type: "Observation", parameters: [] }]).catch((refused: unknown) => refused);
  const { container } = render(<I18nProvider i18n={i18n}><MantineProvider><Problem error={error} /></MantineProvider></I18nProvider>);
  expect(container.textContent).toContain("altered or damaged");
  expect(container.textContent).not.toContain("fsck");
  expect(container.querySelector("a")?.getAttribute("href")).toBe("/app/proof");
});
