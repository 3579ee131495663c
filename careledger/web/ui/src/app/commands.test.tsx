import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import type { Node } from "../lib/node.ts";
import type { Session } from "../lib/session.ts";
import { BeginningContext } from "./beginning-context.ts";
import { Commands } from "./commands.tsx";

const went: unknown[] = [];
vi.mock("@tanstack/react-router", async (original) => ({ ...(await original<object>()), useNavigate: () => (to: unknown) => void went.push(to) }));
vi.mock("../lib/patients.ts", () => ({ findPatients: () => Promise.resolve([]), rememberChart: () => undefined }));

const SESSION = { kind: "clinician", account: "a1" } as Session;

it("the commands are chosen by arrows up and down to their ends, and found by letters; nothing found breaks nothing", () => {
  HTMLDialogElement.prototype.showModal = (() => Promise.resolve()) as unknown as () => void; // what an effect answers must not be that
  i18n.load("en", {});
  i18n.activate("en");
  let closed = 0;
  const { unmount } = render(
    <I18nProvider i18n={i18n}>
      <BeginningContext value={{ house: undefined, session: SESSION, node: {} as Node }}><Commands onClose={() => void (closed += 1)} /></BeginningContext>
    </I18nProvider>,
  );
  const field = screen.getByRole("combobox", { hidden: true });
  const options = (): readonly HTMLElement[] => screen.queryAllByRole("option", { hidden: true });
  const chosen = (): number => options().findIndex((one) => one.getAttribute("aria-selected") === "true");
  const press = (key: string, times = 1): void => { for (let n = 0; n < times; n += 1) fireEvent.keyDown(field, { key }); };
  const all = options().length;
  expect([all > 3, chosen()]).toEqual([true, 0]);
  press("ArrowUp");
  expect(chosen()).toBe(0);
  press("ArrowDown", 2);
  expect(chosen()).toBe(2);
  expect(field.getAttribute("aria-activedescendant")).toBe(options()[2]?.id);
  press("ArrowDown", all + 3);
  expect(chosen()).toBe(all - 1);
  fireEvent.change(field, { target: { value: "no such page" } });
  expect(options()).toHaveLength(0);
  press("ArrowDown", 2);
  press("ArrowUp");
  press("Enter");
  expect([went, closed]).toEqual([[], 0]);
  fireEvent.change(field, { target: { value: "patients" } });
  press("ArrowDown");
  press("Enter");
  expect([went, closed]).toEqual([[{ to: "/app/patients" }], 1]);
  unmount();
});
