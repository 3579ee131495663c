import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { type ReactElement, useMemo, useState } from "react";
import { DAMAGED } from "../components/states.tsx";
import { HouseContext, PresentContext } from "../lib/context.ts";
import { Refusal } from "../lib/refusal.ts";
import type { Beginning } from "./beginning.ts";
import { BeginningContext } from "./beginning-context.ts";
import { createAppRouter } from "./routes.tsx";
import { theme } from "./theme.ts";

/** Answers stay in memory only, and go with the page. A refusal is an answer, and so is a damaged store: it is not asked again. */
function createQueries(): QueryClient {
  const retry = (count: number, error: Error): boolean => !(error instanceof Refusal && (error.status < 500 || error.code === DAMAGED)) && count < 2;
  return new QueryClient({ defaultOptions: { queries: { retry, staleTime: 15_000, gcTime: 300_000, refetchOnWindowFocus: false } } });
}

/** Language, look, the person and the router; below them the shell. */
export function App({ beginning }: { readonly beginning: Beginning }): ReactElement {
  const [queries] = useState(createQueries);
  const [router] = useState(() => createAppRouter(beginning));
  const present = useMemo(() => {
    const { house, session, node } = beginning;
    return house === undefined || session === null || node === null ? null : { house, session, node };
  }, [beginning]);
  return (
    <I18nProvider i18n={i18n}>
      <MantineProvider theme={theme} withCssVariables={false} withGlobalClasses={false} defaultColorScheme="auto">
        <QueryClientProvider client={queries}>
          <BeginningContext value={beginning}>
            <HouseContext value={beginning.house}>
              <PresentContext value={present}>
                <RouterProvider router={router} />
              </PresentContext>
            </HouseContext>
          </BeginningContext>
        </QueryClientProvider>
      </MantineProvider>
    </I18nProvider>
  );
}
