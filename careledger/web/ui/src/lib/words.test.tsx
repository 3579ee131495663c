import type { Condition, Encounter, Medication, MedicationRequest, Observation } from "fhir/r4";
import { afterEach, describe, expect, it } from "vitest";
import { speak } from "./i18n.ts";
import { clip } from "./clip.ts";
import { lookUp } from "./table.ts";
import { dateOf, findSource, joinWords, sayNotes, sayReference, sayUnit, sayValue, sayConcept, sayDate, sayDosage, sayDoubt, sayKind, sayObservation, sayPeriod, sayQuantity, sayRange, saySource, sayStatus, sayTitle, statusOf } from "./words.ts";

afterEach(() => speak("en"));

describe("dates", () => {
  it("are as exact as they are recorded, and a day is that day everywhere", () => {
    expect(["2022", "2022-04", "2022-04-02", "nonsense", undefined].map((one) => sayDate(one))).toEqual(["2022", "April 2022", "Apr 2, 2022", "", ""]);
    expect(sayPeriod({ start: "2022-04-02", end: "2022-04-02" })).toBe("Apr 2, 2022");
    expect(sayPeriod({ start: "2022-04-02" })).toBe("since Apr 2, 2022");
  });

  it("follow the language", async () => {
    await speak("es");
    expect([sayDate("2022-04"), sayQuantity({ value: 37.4, code: "Cel" }), sayStatus("resolved")]).toEqual(["abril de 2022", "37,4 °C", "superado"]);
  });
});

describe("values", () => {
  it("are told with their units, and pressure as people say it", () => {
    const part = (code: string, value: number) => ({ code: { coding: [{ system: "http://loinc.org", code }] }, valueQuantity: { value, code: "mm[Hg]" } });
    const pressure = { component: [part("8480-6", 128), part("8462-4", 82)] } as unknown as Observation;
    expect(sayObservation(pressure)).toBe("128/82 mmHg");
    expect(sayQuantity({ value: 5, comparator: "<", unit: "mg/L" })).toBe("< 5 mg/L");
    expect(sayRange({ low: { value: 3.5 }, high: { value: 5.1, unit: "mmol/L" } })).toBe("3.5 to 5.1 mmol/L");
    expect(sayObservation({ dataAbsentReason: { text: "lost" } } as unknown as Observation)).toBe("no value");
  });

  it("loses the catalogue's sorts and nothing else", () => {
    expect(["Gingivitis (disorder)", "Streptococcus (group A)"].map((text) => sayConcept({ text }))).toEqual(["Gingivitis", "Streptococcus (group A)"]);
    expect(sayDosage([{ text: "1 at night" }, { doseAndRate: [{ doseQuantity: { value: 2, unit: "mL" } }], asNeededBoolean: true }])).toBe("1 at night; 2 mL, as needed");
  });
});

describe("what must not be misread", () => {
  const order = { resourceType: "MedicationRequest", status: "active", intent: "order", subject: {}, category: [{ text: "Community" }] } as MedicationRequest;
  const problem: Condition = { resourceType: "Condition", subject: {}, code: { text: "Asthma" }, clinicalStatus: { coding: [{ code: "active" }] } };

  it("an order not to give something says so first, and a medicine is found where it is named", () => {
    expect(sayTitle({ ...order, doNotPerform: true, medicationCodeableConcept: { text: "Penicillin" } })).toBe("NOT to be given or done: Penicillin");
    expect(sayTitle({ ...order, medicationReference: { reference: "Medication/7" } }, new Map([["Medication/7", "Aspirin"]]))).toBe("Aspirin");
    expect(sayTitle({ ...order, medicationReference: { reference: "#m" }, contained: [{ resourceType: "Medication", id: "m", code: { text: "Heparin" } } as Medication] })).toBe("Heparin");
  });

  it("a suspicion is one, and what was ruled out is", () => {
    const verified = (code: string): Condition => ({ ...problem, verificationStatus: { coding: [{ code }] } });
    expect([sayDoubt(problem), sayDoubt(verified("confirmed")), sayDoubt(verified("differential"))]).toEqual(["", "", "one of several possibilities"]);
    expect(sayStatus(statusOf(verified("refuted")))).toBe("ruled out");
  });

  it("no sign turns the letters after it around, and other writing stays as it is", () => {
    expect([clip("\u202e51\u202c mg"), clip("\u202dabc"), sayConcept({ text: "\u202eevil" })]).toEqual(["51\u202c mg", "abc", "evil"]);
    expect(clip("\u200f\u05e9\u05dc\u05d5\u05dd \u2067x\u2069")).toBe("\u200f\u05e9\u05dc\u05d5\u05dd \u2067x\u2069");
  });
});

describe("where an entry comes from", () => {
  const visit: Encounter = { resourceType: "Encounter", status: "finished", class: {}, participant: [{ individual: { reference: "Practitioner/1", display: "Dr. Peña" } }], serviceProvider: { reference: "Organization/1", display: "Salt Harbor" } };
  const problem: Condition = { resourceType: "Condition", subject: { reference: "Patient/maria" }, code: { text: "Asthma" }, onsetDateTime: "2020", clinicalStatus: { coding: [{ code: "active" }] } };

  it("is its author, else its visit, and nobody where none is named", () => {
    expect([saySource(visit), saySource(problem, undefined, visit), saySource(problem)]).toEqual(["Dr. Peña · Salt Harbor", "Dr. Peña · Salt Harbor", ""]);
    expect(saySource({ ...problem, recorder: { reference: "Practitioner/9" } }, new Map([["Practitioner/9", "Dr. Osei"]]))).toBe("Dr. Osei");
  });

  it("is never the patient unless they are named as its source", () => {
    expect(findSource(problem).isPatient).toBe(false);
    expect(findSource({ ...problem, asserter: { reference: "Patient/maria" } }).isPatient).toBe(true);
    expect(findSource({ ...problem, asserter: { reference: "Patient/maria" }, recorder: { reference: "Practitioner/9", display: "Dr. Osei" } }).isPatient).toBe(false);
  });

  it("a mistake is called one before all else", () => {
    expect([dateOf(problem), sayTitle(problem), statusOf(problem)]).toEqual(["2020", "Asthma", "active"]);
    expect(statusOf({ ...problem, verificationStatus: { coding: [{ code: "entered-in-error" }] } })).toBe("entered-in-error");
  });
});

describe("a record whose words are names that every object has", () => {
  it("is shown as it is, and breaks no page", () => {
    for (const word of ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"]) {
      expect([sayQuantity({ value: 1, unit: word }), sayQuantity({ value: 1, code: word }), sayStatus(word), sayKind(word)]).toEqual([`1 ${word}`, `1 ${word}`, word, word]);
      expect(lookUp({ known: 1 }, word)).toBeUndefined();
    }
  });

  it("or are a megabyte without a space, is shown in part: a browser would make lines of it for minutes", () => {
    const endless = "A".repeat(1_000_000);
    const all = [sayConcept({ text: endless }), sayTitle({ resourceType: "Observation", status: "final", code: { text: endless } }), sayValue({ valueString: endless }), sayUnit({ unit: endless }), sayReference({ display: endless }), joinWords(["a", endless]), sayNotes([{ text: endless }])[0] ?? endless, sayTitle({ resourceType: "DocumentReference", status: "current", content: [], description: endless })];
    expect(all.map((one) => one.length > 9_000 && one.length < 11_000 && !/\S{501}/.test(one.replaceAll("\u200b", " ")))).toEqual(all.map(() => true));
  });
});
