import type { Words } from "../../lib/words_tables.ts";

/** What may be measured at home: its code, its units, and what numbers are possible at all (beyond them it is a slip). */
export interface Measure {
  readonly key: string;
  readonly name: Words;
  readonly code: string;
  readonly display: string;
  readonly isVitalSign: boolean;
  readonly units: readonly Unit[];
}

export interface Unit {
  /** UCUM. */
  readonly code: string;
  readonly unit: string;
  readonly low: number;
  readonly high: number;
}

export const PRESSURE = "pressure";

export const MEASURES: readonly Measure[] = [
  { key: PRESSURE, name: { en: "Blood pressure", es: "Presión arterial" }, code: "85354-9", display: "Blood pressure panel with all children optional", isVitalSign: true, units: [{ code: "mm[Hg]", unit: "mmHg", low: 20, high: 350 }] },
  { key: "weight", name: { en: "Weight", es: "Peso" }, code: "29463-7", display: "Body weight", isVitalSign: true, units: [{ code: "kg", unit: "kg", low: 0.3, high: 600 }, { code: "[lb_av]", unit: "lb", low: 0.6, high: 1300 }] },
  { key: "pulse", name: { en: "Heart rate", es: "Frecuencia cardíaca" }, code: "8867-4", display: "Heart rate", isVitalSign: true, units: [{ code: "/min", unit: "/min", low: 10, high: 350 }] },
  { key: "temperature", name: { en: "Body temperature", es: "Temperatura corporal" }, code: "8310-5", display: "Body temperature", isVitalSign: true, units: [{ code: "Cel", unit: "°C", low: 25, high: 45 }, { code: "[degF]", unit: "°F", low: 77, high: 113 }] },
  { key: "sugar", name: { en: "Blood sugar", es: "Azúcar en la sangre" }, code: "41653-7", display: "Glucose [Mass/volume] in Capillary blood by Glucometer", isVitalSign: false, units: [{ code: "mg/dL", unit: "mg/dL", low: 5, high: 1500 }] },
  { key: "oxygen", name: { en: "Oxygen in the blood", es: "Oxígeno en la sangre" }, code: "2708-6", display: "Oxygen saturation in Arterial blood", isVitalSign: true, units: [{ code: "%", unit: "%", low: 10, high: 100 }] },
  { key: "height", name: { en: "Height", es: "Estatura" }, code: "8302-2", display: "Body height", isVitalSign: true, units: [{ code: "cm", unit: "cm", low: 20, high: 280 }, { code: "[in_i]", unit: "in", low: 8, high: 110 }] },
  { key: "pain", name: { en: "Pain, 0 to 10", es: "Dolor, de 0 a 10" }, code: "72514-3", display: "Pain severity - 0-10 verbal numeric rating [Score] - Reported", isVitalSign: true, units: [{ code: "{score}", unit: "{score}", low: 0, high: 10 }] },
];
