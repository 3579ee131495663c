import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { ComponentType } from "react";
import type { Catalog } from "../lib/i18n.ts";
import type { Kind } from "../lib/session.ts";

type Page = () => Promise<{ readonly Page: ComponentType }>;
type Who = Kind | "anybody";

/** A page: where it is, who it is for, how it is called in the navigation ("" hides it there), and its code and words. */
export interface Place {
  readonly path: string;
  readonly who: readonly Who[];
  readonly name: MessageDescriptor;
  /** A drawing of `components/icon.tsx`. */
  readonly icon: string;
  /** Main places stand in the bar of a phone; the others behind "More"; hidden ones nowhere. */
  readonly rank: "main" | "more" | "hidden";
  readonly page: Page;
  readonly catalog: Catalog;
}

const record: Catalog = { en: () => import("../features/record/locales/en.po"), es: () => import("../features/record/locales/es.po") };
const looked: Catalog = { en: () => import("../features/looked/locales/en.po"), es: () => import("../features/looked/locales/es.po") };
const grants: Catalog = { en: () => import("../features/grants/locales/en.po"), es: () => import("../features/grants/locales/es.po") };
const proof: Catalog = { en: () => import("../features/proof/locales/en.po"), es: () => import("../features/proof/locales/es.po") };
const chart: Catalog = { en: () => import("../features/chart/locales/en.po"), es: () => import("../features/chart/locales/es.po") };
const network: Catalog = { en: () => import("../features/network/locales/en.po"), es: () => import("../features/network/locales/es.po") };
const explorer: Catalog = { en: () => import("../features/explorer/locales/en.po"), es: () => import("../features/explorer/locales/es.po") };
const learning: Catalog = { en: () => import("../features/learning/locales/en.po"), es: () => import("../features/learning/locales/es.po") };

/** Every page of the application, and the whole of it. The first that somebody may see is their home. */
export const PLACES: readonly Place[] = [
  { path: "/app/record", who: ["patient"], name: msg`My record`, icon: "record", rank: "main", page: () => import("../features/record/timeline.tsx"), catalog: record },
  { path: "/app/health", who: ["patient"], name: msg`My health`, icon: "heart", rank: "main", page: () => import("../features/record/health.tsx"), catalog: record },
  { path: "/app/results", who: ["patient"], name: msg`Results`, icon: "flask", rank: "main", page: () => import("../features/record/results.tsx"), catalog: record },
  { path: "/app/looked", who: ["patient"], name: msg`Who looked`, icon: "eye", rank: "main", page: () => import("../features/looked/page.tsx"), catalog: looked },
  { path: "/app/grants", who: ["patient"], name: msg`Sharing`, icon: "key", rank: "main", page: () => import("../features/grants/page.tsx"), catalog: grants },
  { path: "/app/add", who: ["patient"], name: msg`Add or correct`, icon: "pencil", rank: "more", page: () => import("../features/record/adding.tsx"), catalog: record },
  { path: "/app/download", who: ["patient"], name: msg`Download and print`, icon: "download", rank: "more", page: () => import("../features/proof/download.tsx"), catalog: proof },
  { path: "/app/patients", who: ["clinician"], name: msg`Patients`, icon: "people", rank: "main", page: () => import("../features/chart/patients.tsx"), catalog: chart },
  { path: "/app/chart", who: ["clinician"], name: msg`Chart`, icon: "record", rank: "main", page: () => import("../features/chart/page.tsx"), catalog: chart },
  { path: "/app/desk", who: ["administrator"], name: msg`Administration`, icon: "desk", rank: "main", page: () => import("../features/learning/desk.tsx"), catalog: learning },
  { path: "/app/proof", who: ["patient", "clinician", "administrator", "anybody"], name: msg`Proof`, icon: "shield", rank: "main", page: () => import("../features/proof/page.tsx"), catalog: proof },
  { path: "/app/network", who: ["patient", "clinician", "administrator"], name: msg`Network`, icon: "network", rank: "more", page: () => import("../features/network/page.tsx"), catalog: network },
  { path: "/explorer", who: ["patient", "clinician", "administrator", "anybody"], name: msg`Ledger`, icon: "ledger", rank: "more", page: () => import("../features/explorer/overview.tsx"), catalog: explorer },
  { path: "/explorer/blocks/$height", who: ["anybody"], name: msg`Block`, icon: "ledger", rank: "hidden", page: () => import("../features/explorer/block.tsx"), catalog: explorer },
  { path: "/explorer/transactions/$hash", who: ["anybody"], name: msg`Transaction`, icon: "ledger", rank: "hidden", page: () => import("../features/explorer/transaction.tsx"), catalog: explorer },
  { path: "/explorer/validators", who: ["anybody"], name: msg`Validators`, icon: "ledger", rank: "hidden", page: () => import("../features/explorer/validators.tsx"), catalog: explorer },
  { path: "/explorer/search", who: ["anybody"], name: msg`Search the ledger`, icon: "ledger", rank: "hidden", page: () => import("../features/explorer/search.tsx"), catalog: explorer },
  { path: "/app/help", who: ["patient", "clinician", "administrator", "anybody"], name: msg`Help and tour`, icon: "help", rank: "more", page: () => import("../features/learning/page.tsx"), catalog: learning },
];

/** The pages of somebody: a session's kind, or "anybody" without one. What is open to anybody is open to all. */
export function placesOf(kind: Who): readonly Place[] {
  return PLACES.filter((place) => place.who.includes(kind) || place.who.includes("anybody"));
}
