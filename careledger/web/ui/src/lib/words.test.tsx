import type { Condition, Dosage, Encounter, Medication, MedicationRequest, Observation, Quantity } from "fhir/r4";
import { afterEach, describe, expect, it } from "vitest";
import { speak } from "./i18n.ts";
import { clip } from "./clip.ts";
import { sayDosage } from "./dosage.ts";
import { lookUp } from "./table.ts";
import { dateOf, findSource, joinWords, sayNotes, sayReference, sayUnit, sayValue, sayConcept, sayDate, sayDoubt, sayKind, sayLimit, sayObservation, sayPeriod, sayQuantity, sayRange, saySource, sayStatus, sayTitle, statusOf } from "./words.ts";

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

describe("how a medicine is taken", () => {
  const mg = (value: number) => [{ doseQuantity: { value, unit: "mg" } }];

  it("leaves out nothing that limits it", async () => {
    const weekly: Dosage = { doseAndRate: mg(10), timing: { repeat: { dayOfWeek: ["mon"] } } };
    expect(sayDosage([weekly])).toBe("10 mg, only on Monday");
    expect(sayDosage([{ ...weekly, timing: { repeat: { frequency: 1, period: 1, periodUnit: "wk", dayOfWeek: ["mon"], boundsDuration: { value: 6, code: "wk" } } } }])).toBe("10 mg, once every week, only on Monday, for 6 weeks");
    const most = { numerator: { value: 4, unit: "g" }, denominator: { value: 1, code: "d" } };
    expect(sayDosage([{ doseAndRate: mg(500), timing: { repeat: { frequency: 1, frequencyMax: 4, period: 1, periodUnit: "d" } }, asNeededCodeableConcept: { text: "pain" }, maxDosePerPeriod: most, additionalInstruction: [{ text: "no alcohol" }], patientInstruction: "Sit up" }]))
      .toBe("500 mg, 1 to 4 times a day, as needed: pain, at most 4 g in 1 day, no alcohol · Sit up");
    expect(sayDosage([{ timing: { repeat: { when: ["ACM", "strange" as "AC"], offset: 30 } } }])).toBe("30 minutes before breakfast, strange");
    expect(sayDosage([{ doseAndRate: [{ rateQuantity: { value: 125, unit: "mL/h" } }] }, { doseAndRate: [{ rateRatio: { numerator: { value: 5, unit: "mg" }, denominator: { value: 1, code: "h" } } }] }])).toBe("125 mL/h; 5 mg / 1 hour");
    expect(sayDosage([{ timing: { repeat: { period: 6, periodMax: 8, periodUnit: "h" } } }, { timing: { code: { coding: [{ code: "BID" }] } } }])).toBe("every 6 to 8 hours; 2 times a day");
    await speak("es");
    expect(sayDosage([weekly, { timing: { repeat: { count: 1, timeOfDay: ["08:00:00"] } } }])).toBe("10 mg, solo los días: lunes; a las 08:00, una sola vez");
  });

  it("says its steps one after the other", () => {
    const daily = { timing: { repeat: { frequency: 1, period: 1, periodUnit: "d" } } } as const;
    expect(sayDosage([{ ...daily, sequence: 1, doseAndRate: mg(40) }, { ...daily, sequence: 2, doseAndRate: mg(20) }])).toBe("40 mg, once a day; then 20 mg, once a day");
  });
});

describe("what must not be misread", () => {
  it("less than a pressure is not that pressure, and two units are not one", () => {
    const part = (code: string, quantity: Quantity) => ({ code: { text: code, coding: [{ system: "http://loinc.org", code }] }, valueQuantity: quantity });
    const pressure = (high: Quantity, low: Quantity): string => sayObservation({ component: [part("8480-6", high), part("8462-4", low)] } as unknown as Observation);
    expect(pressure({ value: 60, comparator: "<", unit: "mmHg" }, { value: 40, unit: "mmHg" })).toBe("< 60/40 mmHg");
    expect(pressure({ value: 16, unit: "kPa" }, { value: 80, unit: "mmHg" })).toBe("8480-6: 16 kPa; 8462-4: 80 mmHg");
  });

  it("what is no order yet and no last word say so", () => {
    expect([sayLimit(order), sayLimit({ ...order, intent: "plan" })]).toEqual(["", "planned, not ordered"]);
    const value = (status: Observation["status"]): Observation => ({ resourceType: "Observation", status, code: {} });
    expect(["final", "corrected", "preliminary"].map((status) => sayLimit(value(status as Observation["status"])))).toEqual(["", "", "preliminary"]);
    expect(statusOf({ resourceType: "DocumentReference", status: "current", docStatus: "entered-in-error", content: [] })).toBe("entered-in-error");
  });


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
