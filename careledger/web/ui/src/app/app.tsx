import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { type ReactElement, useMemo, useState } from "react";
import { HouseContext, PresentContext } from "../lib/context.ts";
import type { Beginning } from "./beginning.ts";
import { BeginningContext } from "./beginning-context.ts";
import { createQueries } from "./queries.ts";
import { createAppRouter } from "./routes.tsx";
import { theme } from "./theme.ts";

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
