import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, renderHook, screen } from "@testing-library/react";
import type { AllergyIntolerance, DiagnosticReport, DocumentReference, FhirResource, MedicationRequest, Observation } from "fhir/r4";
import { act } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { isOpenable } from "./apps.tsx";
import { breakGlass, foldReason, putAway, sayLeft, useEmergency } from "./emergency.ts";
import { listFacts } from "./facts.ts";
import { isEnough, searchPatients, understand } from "./finding.ts";
import { aboutNote, rankAllergies, Reports } from "./lists.tsx";
import { flagOf, group, numbersOf, pointsOf, trendOf } from "./measures.ts";
import { decodeText, firstWords, readFirstWords } from "./notes.ts";
import { Change, show } from "./prescribe.tsx";
import { begin, changeDose, type Dose, EMPTY_DOSE, fromDosage, isDose, renew, stop, toDosage } from "./prescribing.ts";
import { type Chart, readChart } from "./reading.ts";
import { Node, type Search } from "../../lib/node.ts";
import type { Tokens } from "../../lib/oauth.ts";
import { shorten } from "./short.ts";

vi.mock("@tanstack/react-router", async (original) => ({ ...(await original<object>()), useLocation: () => ({ state: {} }) }));
vi.mock("../../lib/context.ts", () => ({ usePresent: () => ({ node: {} }) }));

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const HAND = { who: { reference: "Practitioner/chen", display: "Dr. Chen" }, now: new Date("2026-11-23T10:00:00Z"), why: "" };
const REQUEST: MedicationRequest = {
  resourceType: "MedicationRequest", id: "m1", meta: { versionId: "3" }, status: "active", intent: "order", text: { status: "generated", div: "<div>old</div>" },
  medicationCodeableConcept: { text: "Carvedilol 25 mg" }, subject: { reference: "Patient/p1" }, identifier: [{ value: "rx-1" }],
  dosageInstruction: [{ text: "twice a day", timing: { repeat: { frequency: 2, period: 1, periodUnit: "d" } } }],
};

describe("what was typed into the search", () => {
  it.each([
    ["okafor ruth", [[["name", "okafor"], ["name", "ruth"]]]],
    ["1973-08-04", [[["birthdate", "1973-08-04"]]]],
    ["okafor 1973", [[["name", "okafor"], ["birthdate", "1973"]]]],
    ["3/4/1980", [[["birthdate", "1980-03-04,1980-04-03"]]]],
    ["24.12.1980", [[["birthdate", "1980-12-24"]]]],
    ["CL7863424", [[["name", "CL7863424"]], [["identifier", "CL7863424"]]]],
    ["Okafor,Ruth", [[["name", "Okafor"], ["name", "Ruth"]]]],
    ["o'connor", [[["name", "o'connor,o’connor"]]]],
    ["   ", []],
  ])("%s", (text, searches) => expect(understand(text)).toEqual(searches));

  it("finds nobody only where nobody's name holds it either, a second surname too", async () => {
    const asked: string[] = [];
    const search = (_type: string, [first]: readonly (readonly [string, string])[]) => {
      const [name, word] = first ?? [];
      asked.push(`${name}=${word}`);
      const resources = name === "name:contains" && word === "garcía" ? [{ resourceType: "Patient", id: "p1", deceasedBoolean: true }] : [];
      return Promise.resolve({ resources, included: [], total: resources.length, next: "" });
    };
    const node = { search } as unknown as Node;
    expect((await searchPatients(node, "garcía", new AbortController().signal)).rows).toMatchObject([{ id: "p1", hasDied: true }]);
    expect((await searchPatients(node, "li", new AbortController().signal)).total).toBe(0);
    expect(asked).toEqual(["name=garcía", "name:contains=garcía", "name=li"]);
    expect(["a", "王", "ab"].map(isEnough)).toEqual([false, true, true]);
  });
});

function value(number: number, more: Partial<Observation> = {}): Observation {
  return { resourceType: "Observation", status: "final", code: { coding: [{ system: "http://loinc.org", code: "2345-7" }] }, valueQuantity: { value: number, unit: "mg/dL" }, ...more };
}

describe("allergies", () => {
  it("that stand come before those that do not, the dangerous first", () => {
    const coded = (code: string) => ({ coding: [{ code }] });
    const one = (id: string, more: Partial<AllergyIntolerance>): AllergyIntolerance => ({ resourceType: "AllergyIntolerance", id, patient: {}, ...more });
    const all = [one("over", { clinicalStatus: coded("resolved") }), one("none", { code: coded("716186003") }), one("mild", {}), one("mistake", { verificationStatus: coded("entered-in-error") }), one("grave", { criticality: "high" })];
    expect(rankAllergies(all).map(({ id }) => id)).toEqual(["grave", "mild", "none", "over", "mistake"]);
  });
});

describe("measurements", () => {
  it("are flagged as the laboratory said, and by its range where it said nothing", () => {
    const range = { referenceRange: [{ low: { value: 70, unit: "mg/dL" }, high: { value: 99, unit: "mg/dL" } }] };
    expect(flagOf(value(120, range))).toBe("high");
    expect(flagOf(value(60, range))).toBe("low");
    expect(flagOf(value(80, range))).toBe("");
    expect(flagOf(value(80))).toBe("");
    expect(flagOf(value(120, { ...range, interpretation: [{ coding: [{ code: "N" }] }] }))).toBe("");
    expect(flagOf(value(80, { interpretation: [{ coding: [{ code: "HH" }] }] }))).toBe("critical");
    expect(flagOf(value(6, { referenceRange: [{ high: { value: 5, unit: "mmol/L" } }] }))).toBe(""); // another unit: no word
    const than = (comparator: "<" | ">", number: number): Observation => value(number, { ...range, valueQuantity: { value: number, unit: "mg/dL", comparator } });
    expect([flagOf(than("<", 60)), flagOf(than(">", 60)), flagOf(than(">", 120)), flagOf(than("<", 120))]).toEqual(["low", "", "high", ""]);
  });
  it("are grouped by code, the newest first, without what was entered in error", () => {
    const [series, ...others] = group([value(9), value(7, { status: "entered-in-error" }), value(5)]);
    expect(others).toEqual([]);
    expect(series?.all).toHaveLength(2);
    expect(series === undefined ? 0 : trendOf(series)).toBe(1);
  });
  it("are drawn, pressures by the systolic one", () => {
    const part = (code: string, number: number) => ({ code: { coding: [{ code }] }, valueQuantity: { value: number } });
    const value = (valueQuantity: { value: number; unit: string }) => ({ resourceType: "Observation", status: "final", code: {}, valueQuantity }) as const;
    expect(numbersOf([{ resourceType: "Observation", status: "final", code: {}, component: [part("8462-4", 80), part("8480-6", 120)] }])).toEqual([120]);
    expect(numbersOf([value({ value: 110, unit: "mg/dL" }), value({ value: 5.5, unit: "mmol/L" }), value({ value: 90, unit: "mg/dL" })])).toEqual([90, 110]); // no rise from 5.5 to 110
    expect(pointsOf([1, 3, 2], 10, 4)).toBe("0.0,4.0 5.0,0.0 10.0,2.0");
    expect(pointsOf([2, 2], 10, 4)).toBe("0.0,2.0 10.0,2.0");
    expect(pointsOf([2], 10, 4)).toBe("");
  });
  it("have names that a line has room for", () => {
    expect(shorten({ text: "Glucose [Mass/volume] in Serum or Plasma" })).toBe("Glucose");
    expect(shorten({ text: "Glucose [Mass/volume] in Urine by Test strip" })).toBe("Glucose in Urine by Test strip");
    expect(shorten({ coding: [{ system: "http://loinc.org", code: "85354-9", display: "Blood pressure panel" }] })).toBe("Blood pressure");
  });
});

describe("a change of a medicine", () => {
  it("stops with its reason, by who stopped it, and without the old narrative", () => {
    const next = stop(REQUEST, "sintol", { ...HAND, why: "rash" });
    expect(next).toMatchObject({ id: "m1", meta: { versionId: "3" }, status: "stopped", recorder: HAND.who, statusReason: { text: "rash", coding: [{ code: "sintol" }] } });
    expect(next.text).toBeUndefined();
    expect(stop(REQUEST, "", HAND).statusReason).toEqual({});
  });
  it("replaces all that was said of the old dose", () => {
    const dose = { ...EMPTY_DOSE, amount: "1,5", unit: "tablet", times: "3", words: "with food" };
    const next = changeDose(REQUEST, dose, HAND);
    expect(next.dosageInstruction).toEqual([{ patientInstruction: "with food", timing: { repeat: { frequency: 3, period: 1, periodUnit: "d" } }, doseAndRate: [{ doseQuantity: { value: 1.5, unit: "tablet" } }] }]);
    expect(next).not.toHaveProperty("note"); // an empty list is no FHIR
    expect(changeDose(REQUEST, dose, { ...HAND, why: "pain" }).note).toHaveLength(1);
  });
  it("renews what holds as its next version, and what ended as a new order after it", () => {
    expect(renew(REQUEST, 30, HAND)).toMatchObject({ id: "m1", status: "active", dispenseRequest: { validityPeriod: { start: "2026-11-23", end: "2026-12-23" } } });
    const again = renew({ ...REQUEST, status: "stopped", statusReason: { text: "rash" } }, 30, HAND);
    expect(again).toMatchObject({ status: "active", priorPrescription: { reference: "MedicationRequest/m1" } });
    for (const gone of ["id", "meta", "identifier", "statusReason", "note"]) expect(again).not.toHaveProperty(gone);
  });
  it("wants a dose that is one", () => {
    expect(isDose(EMPTY_DOSE)).toBe(false);
    expect(isDose({ ...EMPTY_DOSE, words: "as told" })).toBe(true);
    expect(isDose({ ...EMPTY_DOSE, amount: "a lot" })).toBe(false);
    expect(isDose({ ...EMPTY_DOSE, amount: "1", times: "1.5" })).toBe(false);
    const dose = { amount: "2", unit: "puff", times: "4", isAsNeeded: true, words: "before sport" };
    expect(fromDosage([toDosage(dose)])).toEqual(dose);
  });
  it("hands what its fields do not hold to the form as words, whole", () => {
    const amount = [{ doseQuantity: { value: 10, unit: "mg" } }];
    const weekly = { doseAndRate: amount, timing: { repeat: { frequency: 1, period: 1, periodUnit: "wk", dayOfWeek: ["mon"] } } } as const;
    expect(fromDosage([weekly as never])).toEqual({ ...EMPTY_DOSE, words: "10 mg, once every week, only on Monday" });
    expect(fromDosage([{ doseAndRate: amount }, { doseAndRate: amount, asNeededBoolean: true }]).words).toBe("10 mg; 10 mg, as needed");
    expect(fromDosage([{ doseAndRate: amount, maxDosePerAdministration: { value: 20, unit: "mg" } }])).toMatchObject({ amount: "", words: "10 mg, at most 20 mg at a time" });
    expect(fromDosage([{ doseAndRate: amount, text: "once a week" }])).toMatchObject({ amount: "", words: "once a week" });
    expect(changeDose(REQUEST, { ...EMPTY_DOSE, words: "15 mg, once a week" }, HAND).dosageInstruction).toEqual([{ text: "15 mg, once a week" }]);
  });
  it("stands in the chart at once, and leaves it when it ends", () => {
    const page = { resources: [REQUEST], included: [], total: 1, next: "" };
    const chart = { medicines: page } as unknown as Chart;
    expect(show(chart, stop(REQUEST, "", HAND)).medicines).toMatchObject({ resources: [], total: 0 });
    const added = show(chart, { ...begin("p1", "Aspirin", EMPTY_DOSE, 30, HAND), id: "m2" }).medicines;
    expect([added.resources.map((one) => one.id), added.total]).toEqual([["m2", "m1"], 2]);
  });
});

describe("a version", () => {
  it("is written over the one that was seen and no other", async () => {
    const sent: Request[] = [];
    vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
      sent.push(new Request(`https://house.example${path}`, init));
      return new Response(JSON.stringify(REQUEST));
    });
    await new Node({ get: async () => "token" } as Tokens, () => undefined).update(stop(REQUEST, "", HAND));
    expect(sent.map((one) => [one.method, one.headers.get("if-match")])).toEqual([["PUT", 'W/"3"']]);
  });
});

describe("the chart", () => {
  it("is read by one request, and of a patient who is not there nothing is shown", async () => {
    const asked: (readonly Search[])[] = [];
    const empty = { resources: [], included: [], total: 0, next: "" };
    const node = { searches: async (searches: readonly Search[]) => { asked.push(searches); return searches.map(() => empty); } };
    const chart = await readChart(node as unknown as Node, "p1");
    expect(chart.patient).toBeUndefined();
    expect(asked).toHaveLength(1);
    const filed = (asked[0] ?? []).flatMap(({ type, parameters }) => (type === "Observation" ? parameters.filter(([name]) => name.startsWith("category")) : []));
    expect(filed).toEqual([["category", "vital-signs"], ["category", "laboratory"], ["category:not", "laboratory,vital-signs"]]); // however it was filed
    expect(asked[0]?.map(({ type }) => type)).toContain("DiagnosticReport");
    for (const { type, parameters } of asked[0] ?? []) {
      expect(parameters[0]).toEqual(type === "Patient" ? ["_id", "p1"] : ["patient", "p1"]);
      if (type !== "Patient") expect(Number(parameters.find(([name]) => name === "_count")?.[1])).toBeLessThanOrEqual(48);
    }
  });
  it("tells of an entry what it says, and nothing empty", () => {
    const entry: FhirResource = value(95, { note: [{ text: "fasting" }] });
    expect(listFacts(entry).map((fact) => fact.value)).toEqual(["95 mg/dL", "fasting"]);
  });
  it("says of a report what it concludes, and that it is not the last word", () => {
    const report: DiagnosticReport = { resourceType: "DiagnosticReport", id: "r1", status: "preliminary", code: { text: "Biopsy" }, conclusion: "Malignant cells" };
    i18n.load("en", {});
    i18n.activate("en");
    const page = { resources: [report], included: [], total: 1, next: "" };
    const { container, unmount } = render(<I18nProvider i18n={i18n}><QueryClientProvider client={new QueryClient()}><Reports page={page} node={{} as Node} patient="p1" onOpen={() => undefined} /></QueryClientProvider></I18nProvider>);
    expect(container.textContent).toContain("preliminary · Malignant cells");
    expect(listFacts(report).map((fact) => fact.value)).toEqual(["Malignant cells"]);
    unmount();
  });
  it("shows plain text of documents and no other format", () => {
    expect(decodeText({ contentType: "text/plain; charset=utf-8", data: btoa("<script>alert(1)</script>") })).toBe("<script>alert(1)</script>");
    expect(decodeText({ contentType: "text/html", data: btoa("<p>") })).toBeUndefined();
    expect(decodeText({ contentType: "text/plain", data: "%" })).toBeUndefined();
  });
});

describe("emergencies and apps", () => {
  it("ask for the purpose of an emergency, for that chart alone, and end by themselves", async () => {
    vi.useFakeTimers();
    const until = new Date(Date.now() + 60_000).toISOString();
    const asked: unknown[] = [];
    const inEmergency = { operate: async (path: string, content: unknown) => { asked.push([path, content]); return { resourceType: "Parameters", parameter: [{ name: "until", valueInstant: until }] }; } };
    const node = { forPurpose: (purpose: string) => { asked.push(purpose); return inEmergency; } };
    const { result } = renderHook(() => [useEmergency("p1")?.node, useEmergency("p2")?.node]);
    expect(result.current).toEqual([undefined, undefined]);
    await act(() => breakGlass(node as unknown as Node, "p1", "The patient cannot answer"));
    expect(asked).toEqual(["ETREAT", ["/Patient/p1/$emergency-access", { resourceType: "Parameters", parameter: [{ name: "reason", valueString: "The patient cannot answer" }] }]]);
    expect(result.current).toEqual([inEmergency, undefined]);
    act(() => void vi.advanceTimersByTime(59_000));
    expect(result.current[0]).toBe(inEmergency);
    act(() => void vi.advanceTimersByTime(1_100));
    expect(result.current[0]).toBeUndefined();
    act(() => putAway("p1"));
  });
  it("count down in words that a glance takes in", () => {
    expect([sayLeft(14_399_500), sayLeft(61_000), sayLeft(-5)]).toEqual(["4:00:00", "1:01", "0:00"]);
    expect(foldReason("Danger", "  two \n lines ")).toBe("Danger: two lines");
  });
  it("open apps by encrypted pages alone", () => {
    expect(isOpenable("https://app.example/launch?launch=x")).toBe(true);
    expect(isOpenable("http://localhost:4000/l")).toBe(true);
    for (const bad of ["javascript:alert(1)", "data:text/html,x", "http://app.example/", "//app.example", "app:open"]) expect(isOpenable(bad)).toBe(false);
  });
});

describe("a change of the dose", () => {
  const DOSED: MedicationRequest = { ...REQUEST, dosageInstruction: [toDosage({ ...EMPTY_DOSE, amount: "1.5", unit: "tablet", times: "2" })] };

  function open(sent: unknown[]): void {
    i18n.load("en", {});
    i18n.activate("en");
    const first = fromDosage(DOSED.dosageInstruction);
    const toNext = (dose: Dose, why: string): MedicationRequest => changeDose(DOSED, dose, { ...HAND, why });
    render(<I18nProvider i18n={i18n}><MantineProvider><Change first={first} isBusy={false} onSend={(next) => void sent.push(next)} toNext={toNext} /></MantineProvider></I18nProvider>);
  }

  it("that changes nothing writes nothing, and says so", () => {
    const sent: unknown[] = [];
    open(sent);
    const button = screen.getByRole("button", { name: "Change the dose" }) as HTMLButtonElement;
    const form = button.closest("form");
    const enter = (label: string, value: string): void => void fireEvent.change(screen.getByLabelText(label), { target: { value } });
    const press = (): void => void (form !== null && fireEvent.submit(form));
    expect(button.disabled).toBe(true);
    expect(screen.getByRole("status").textContent).toContain("nothing to change yet");
    press();
    enter("Amount", " 1,50");
    enter("Why (may be empty)", "to be sure");
    press();
    expect(sent).toEqual([]);
    enter("Amount", "none");
    expect(screen.getByRole("status").textContent).toContain("numbers above 0");
    press();
    expect(sent).toEqual([]);
    enter("Amount", "2");
    expect([screen.getByRole("status").textContent, button.disabled]).toEqual(["", false]);
    press();
    expect(sent).toEqual([changeDose(DOSED, { ...EMPTY_DOSE, amount: "2", unit: "tablet", times: "2" }, { ...HAND, why: "to be sure" })]);
  });
});

describe("a line of the notes", () => {
  const NOTE: DocumentReference = { resourceType: "DocumentReference", id: "n1", status: "current", content: [], author: [{ reference: "Practitioner/chen", display: "Dr. Chen" }] };
  const text = "\n2026-11-23\n\n# Chief Complaint\n- Cough for three weeks\n\n# Plan\nX-ray of the chest.";

  it("says author and first words, which are neither heading nor date", () => {
    expect(firstWords(text)).toBe("Cough for three weeks · X-ray of the chest.");
    expect(firstWords("word ".repeat(90))).toMatch(/^(word ){20,}word…$/);
    expect(firstWords("# Plan\n\n----\n12.3.2026")).toBe("");
    expect(aboutNote(NOTE, new Map([["n1", "Cough"]]))).toBe("Dr. Chen · Cough");
    expect(aboutNote({ ...NOTE, description: "Discharge" }, new Map([["n1", "Cough"]]))).toBe("Dr. Chen · Discharge");
  });

  it("asks for plain text alone, of those notes, and shows no other format", async () => {
    const asked: unknown[] = [];
    const found = { resourceType: "Bundle", type: "searchset", entry: [
      { resource: { ...NOTE, content: [{ attachment: { contentType: "text/plain", data: btoa(text) } }] } },
      { resource: { ...NOTE, id: "n2", content: [{ attachment: { contentType: "text/html", data: btoa("<b>no</b>") } }] } },
    ] };
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => { asked.push(path, String(init.body)); return Promise.resolve(new Response(JSON.stringify(found))); });
    const words = await readFirstWords(new Node({ get: () => Promise.resolve("t") } as unknown as Tokens, () => undefined), "p1", ["n1", "n2"]);
    expect([...words]).toEqual([["n1", "Cough for three weeks · X-ray of the chest."], ["n2", ""]]);
    expect(asked[0]).toBe("/fhir/DocumentReference/_search");
    expect(String(asked[1])).toContain("patient=p1&_id=n1%2Cn2&contenttype=text%2Fplain");
  });
});
