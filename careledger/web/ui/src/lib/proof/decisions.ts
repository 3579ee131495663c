/** Every access is decided again, as far as its entry and the chart tell (docs/spec/export.md, step 11). */

import { type Access } from "./accesses.ts";
import { type Chart, type Mandate, placeKey } from "./charts.ts";
import { DAY_MS, type DirectiveText, MINUTE_MS } from "./export_forms.ts";

/** Purposes for which a custodian acts without a directive. */
const CARE: readonly string[] = ["TREAT", "HPAYMT", "HOPERAT"];
/** What describes nobody under care. */
const SUPPORTING: readonly string[] = [
  "Organization",
  "Practitioner",
  "PractitionerRole",
  "Location",
  "HealthcareService",
  "Medication",
  "MedicationKnowledge",
  "Substance",
  "InsurancePlan",
  "Endpoint",
  "Questionnaire",
  "PlanDefinition",
  "ActivityDefinition",
];

/** Why an access was not allowed; "" if it was. `custodian` is the organisation's DID. */
export function decide(chart: Chart, access: Access, custodian: string): string {
  if ((access.leaves.at(-1) ?? -1) >= chart.types.length) return "it names what is not in the record log";
  if (!access.isPermitted || ["denied", "empty", "count"].includes(access.kind)) {
    return access.leaves.length > 0 ? "it was denied, and something left" : "";
  }
  const isCustodian = access.organisation === custodian;
  switch (access.rule) {
    case "custodian-default":
    case "operator":
    case "own-chart":
      return decideCustodian(access, isCustodian) || decideDenied(chart, access);
    case "emergency":
      return isEmergency(chart, access) ? "" : "no emergency";
    case "directive-permit":
      return decidePermit(chart, access, isCustodian) || decideDenied(chart, access);
    case "supporting":
      return access.leaves.every((leaf) => SUPPORTING.includes(chart.types[leaf] ?? ""))
        ? ""
        : "no rule that permits";
    default:
      return "no rule that permits";
  }
}

function decideCustodian(access: Access, isCustodian: boolean): string {
  const isOwn = access.rule === "own-chart";
  const isPurpose = CARE.includes(access.purpose) || (isOwn && access.purpose === "PATRQT");
  if ((access.rule !== "operator" && !isPurpose) || (isOwn && access.roles.length > 0)) {
    return "another purpose, or not herself";
  }
  return isCustodian && access.directives.length === 0 ? "" : "not the custodian";
}

function isEmergency(chart: Chart, access: Access): boolean {
  const { actor, purpose, timeMs } = access;
  const isOpen = chart.emergencies.some(
    (one) =>
      one.practitioner === actor && one.fromMs - MINUTE_MS <= timeMs && timeMs < one.untilMs + MINUTE_MS,
  );
  return isOpen && purpose === "ETREAT";
}

/** Each directive that it names permits it, and what left is covered by one of them or by the custodian's default. */
function decidePermit(chart: Chart, access: Access, isCustodian: boolean): string {
  const texts: DirectiveText[] = [];
  for (const id of access.directives.length > 0 ? access.directives : [""]) {
    const mandate = chart.mandates.get(id);
    if (mandate === undefined) return "its directive is not in the chart";
    if (!hadForce(mandate, access) || isReplaced(chart, id, access.height, false)) {
      return "its directive was not in force";
    }
    if (mandate.text.effect !== "permit" || !isMeant(mandate.text, access)) {
      return "its directive does not permit it";
    }
    texts.push(mandate.text);
  }
  // What no directive permits, a custodian has by default.
  if (isCustodian && CARE.includes(access.purpose)) return "";
  const isCovered = access.leaves.every((leaf) => texts.some((text) => covers(chart, leaf, access, text)));
  return isCovered ? "" : "its directives permit no such type, category or label";
}

function hadForce(mandate: Mandate, access: Access): boolean {
  const isEntered = access.timeMs + MINUTE_MS >= mandate.time;
  if (mandate.status === 1) return isEntered && mandate.height <= access.height;
  return isEntered && mandate.status === 2 && access.height < mandate.height;
}

/** Under a custodian's default or a permit, a deny in force that is not narrowed forbids it. */
function decideDenied(chart: Chart, access: Access): string {
  if (access.rule !== "custodian-default" && access.rule !== "directive-permit") return "";
  for (const [id, mandate] of chart.mandates) {
    const { text, status, height } = mandate;
    if (text.effect !== "deny" || status !== 1 || height > access.height) continue;
    const isNarrowed = text.categories.length > 0 || text.labels.length > 0;
    const isOfType =
      text.types.length === 0 || access.leaves.some((leaf) => text.types.includes(chart.types[leaf] ?? ""));
    if (isOfType && !isNarrowed && isMeant(text, access) && !isReplaced(chart, id, access.height, true)) {
      return "a directive in force denied it";
    }
  }
  return "";
}

/** The directive names the type of what left, and its codes occur in some version by then, as far as one can tell. */
function covers(chart: Chart, leaf: number, access: Access, text: DirectiveText): boolean {
  const type = chart.types[leaf] ?? "";
  if (type === "") return true; // bare
  if (text.types.length > 0 && !text.types.includes(type)) return false;
  const places = chart.places.get(placeKey(type, chart.entries[leaf]?.id ?? "")) ?? [];
  const parts = places.flatMap((place) => chart.entries[place] ?? []);
  // What counted then may not be here any more.
  if (chart.bareCount > 0 || parts.length === 0 || parts.some((part) => part.kind === "move")) return true;
  const wanted = [text.categories, text.labels].filter((codings) => codings.length > 0);
  const codes = wanted.map((codings) => codings.map((coding) => JSON.stringify(coding.code)));
  const bodies = parts.filter((part) => part.time <= access.timeMs + MINUTE_MS).map((part) => part.body);
  return bodies.some((body) => codes.every((some) => some.some((code) => body.includes(code))));
}

/** The directive is about this caller, purpose and day, and about access. */
function isMeant(text: DirectiveText, access: Access): boolean {
  const names = {
    organisation: [access.organisation],
    client: [] as string[], // remembered, no permit
    practitioner: [access.actor, access.subject],
    role: access.roles,
  };
  const isNamed = text.grantees.some((one) => one.value !== "" && names[one.kind].includes(one.value));
  const isPurpose = text.purposes.length === 0 || text.purposes.includes(access.purpose);
  const day = Math.floor(access.timeMs / DAY_MS);
  const isDay = text.from_day <= day && day <= text.until_day;
  return isNamed && isPurpose && isDay && text.actions.includes("access");
}

/** A directive with force superseded this one by then; one that was revoked since counts as `perhaps`. */
function isReplaced(chart: Chart, id: string, height: number, perhaps: boolean): boolean {
  return [...chart.mandates].some(([other, mandate]) => {
    if (other === id || mandate.text.supersedes !== id) return false;
    return mandate.status === 1 ? mandate.height <= height : mandate.status === 2 && perhaps;
  });
}
