import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen } from "@testing-library/react";
import type { ReactNode } from "react";
import { expect, it, vi } from "vitest";
import { Page } from "./patients.tsx";

const opened: string[] = [];
vi.mock("../../lib/context.ts", () => ({ usePresent: () => ({ node: {}, session: { fhirUser: "Practitioner/chen" } }) }));
vi.mock("./emergency-form.tsx", () => ({ Unlisted: () => null }));
vi.mock("./opening.ts", () => ({ recentPatients: () => [], useOpen: () => (row: { readonly id: string }) => void opened.push(row.id) }));
vi.mock("./finding.ts", async (original) => ({
  ...(await original<object>()),
  listMine: () => Promise.resolve(["ada", "bob", "cem"].map((id) => ({ id, name: id, born: "1970-01-01", gender: "", hasDied: id === "cem", seen: "" }))),
}));

it("a patient is chosen by arrows, also where a browser's scrolling is a promise", async () => {
  i18n.load("en", {});
  i18n.activate("en");
  Element.prototype.scrollIntoView = (() => Promise.resolve()) as unknown as () => void;
  const around = ({ children }: { readonly children: ReactNode }) => (
    <I18nProvider i18n={i18n}><MantineProvider><QueryClientProvider client={new QueryClient()}>{children}</QueryClientProvider></MantineProvider></I18nProvider>
  );
  const { unmount } = render(<Page />, { wrapper: around });
  await screen.findByText("cem");
  expect(screen.getByText("has died").closest("[role=option]")?.textContent).toContain("cem");
  const field = screen.getByRole("combobox");
  for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"]) fireEvent.keyDown(field, { key });
  expect(opened).toEqual(["bob"]);
  unmount();
});
