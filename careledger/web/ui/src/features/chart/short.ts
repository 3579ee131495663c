import type { CodeableConcept } from "fhir/r4";
import { codeOf, LOINC, say, sayConcept } from "../../lib/words.ts";
import type { Words } from "../../lib/words_tables.ts";

/** What wards call the measurements that every chart has, by LOINC code. */
const NAMES: Readonly<Record<string, Words>> = {
  "85354-9": { en: "Blood pressure", es: "Presión arterial" },
  "55284-4": { en: "Blood pressure", es: "Presión arterial" },
  "8867-4": { en: "Heart rate", es: "Frecuencia cardíaca" },
  "9279-1": { en: "Respiratory rate", es: "Frecuencia respiratoria" },
  "2708-6": { en: "Oxygen saturation", es: "Saturación de oxígeno" },
  "59408-5": { en: "Oxygen saturation", es: "Saturación de oxígeno" },
  "8310-5": { en: "Temperature", es: "Temperatura" },
  "8331-1": { en: "Temperature, oral", es: "Temperatura oral" },
  "29463-7": { en: "Weight", es: "Peso" },
  "8302-2": { en: "Height", es: "Talla" },
  "39156-5": { en: "Body mass index", es: "Índice de masa corporal" },
  "59576-9": { en: "BMI percentile", es: "Percentil de IMC" },
  "77606-2": { en: "Weight for length, percentile", es: "Peso para la talla, percentil" },
  "8289-1": { en: "Head circumference, percentile", es: "Perímetro cefálico, percentil" },
  "9843-4": { en: "Head circumference", es: "Perímetro cefálico" },
  "72514-3": { en: "Pain, 0 to 10", es: "Dolor, 0 a 10" },
  "4548-4": { en: "HbA1c", es: "HbA1c" },
};

/** LOINC's long names say property and usual specimen, which a ward knows: "Glucose [Mass/volume] in Serum or Plasma". */
const PROPERTY = / ?\[[^\]]*\]/g;
const SPECIMEN = / (?:in|of) (?:Serum or Plasma|Serum, Plasma or Blood|Serum|Plasma|Blood)(?=$| by )/;
const METHOD = / by (?:Automated count|Automated|calculation|Calculated|Manual count)$/i;

/** A test's name, as short as its line in the chart wants it. The whole of it stands in the details. */
export function shorten(code: CodeableConcept): string {
  const known = NAMES[codeOf(code, LOINC)];
  if (known !== undefined) return say(known);
  const whole = sayConcept(code);
  return whole.replace(PROPERTY, "").replace(SPECIMEN, "").replace(METHOD, "").trim() || whole;
}
