import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { addCatalog } from "../lib/i18n.ts";
import type { Beginning } from "./beginning.ts";
import { type Place, placesOf } from "./places.ts";
import { Shell } from "./shell.tsx";
import { Missing, Stumbled, Waiting } from "./states.tsx";
import { Welcome } from "./welcome.tsx";

/** The pages of whoever is here. An address of somebody else's page is a missing one: it tells nothing. */
export function createAppRouter(beginning: Beginning) {
  const places = placesOf(beginning.session?.kind ?? "anybody");
  const home = beginning.session === null ? undefined : places[0]?.path;
  const root = createRootRoute({ component: Shell, notFoundComponent: Missing });
  const welcome = createRoute({
    getParentRoute: () => root,
    path: "/",
    component: Welcome,
    beforeLoad: () => {
      if (home !== undefined) throw redirect({ to: home, replace: true });
    },
  });
  const start = createRoute({
    getParentRoute: () => root,
    path: "/app",
    beforeLoad: () => {
      throw redirect({ to: home ?? "/", replace: true });
    },
  });
  const pages = places.map((place) => createRoute({ getParentRoute: () => root, path: place.path, component: load(place) }));
  return createRouter({
    routeTree: root.addChildren([welcome, start, ...pages]),
    defaultPendingComponent: Waiting,
    defaultErrorComponent: Stumbled,
    defaultPendingMs: 150,
  });
}

function load(place: Place) {
  return lazyRouteComponent(async () => {
    const [{ Page }] = await Promise.all([place.page(), addCatalog(place.catalog)]);
    return { default: Page };
  });
}
