import type { CodeableConcept } from "fhir/r4";
import { lookUp } from "../../lib/table.ts";
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
  "33914-3": { en: "eGFR", es: "FGe" },
  "69405-9": { en: "eGFR", es: "FGe" },
  "62238-1": { en: "eGFR", es: "FGe" },
  "98979-8": { en: "eGFR", es: "FGe" },
  "3094-0": { en: "Urea nitrogen", es: "Nitrógeno ureico" },
  "2160-0": { en: "Creatinine", es: "Creatinina" },
  "2028-9": { en: "Carbon dioxide", es: "Dióxido de carbono" },
  "2951-2": { en: "Sodium", es: "Sodio" },
  "2823-3": { en: "Potassium", es: "Potasio" },
  "2075-0": { en: "Chloride", es: "Cloruro" },
  "17861-6": { en: "Calcium", es: "Calcio" },
  "2345-7": { en: "Glucose", es: "Glucosa" },
  "1975-2": { en: "Bilirubin", es: "Bilirrubina" },
  "1742-6": { en: "ALT", es: "ALT" },
  "1920-8": { en: "AST", es: "AST" },
  "6768-6": { en: "Alk. phosphatase", es: "Fosfatasa alcalina" },
  "2093-3": { en: "Cholesterol", es: "Colesterol" },
  "2085-9": { en: "HDL cholesterol", es: "Colesterol HDL" },
  "18262-6": { en: "LDL cholesterol", es: "Colesterol LDL" },
  "13457-7": { en: "LDL cholesterol", es: "Colesterol LDL" },
  "2571-8": { en: "Triglycerides", es: "Triglicéridos" },
  "718-7": { en: "Hemoglobin", es: "Hemoglobina" },
  "4544-3": { en: "Hematocrit", es: "Hematocrito" },
  "6690-2": { en: "White cells", es: "Leucocitos" },
  "789-8": { en: "Red cells", es: "Eritrocitos" },
  "777-3": { en: "Platelets", es: "Plaquetas" },
};

/** LOINC's long names say property and usual specimen, which a ward knows: "Glucose [Mass/volume] in Serum or Plasma". */
const PROPERTY = / ?\[[^\]]*\]/g;
const SPECIMEN = / (?:in|of) (?:Serum or Plasma|Serum, Plasma or Blood|Serum|Plasma|Blood)(?=$| by )/;
const METHOD = / by (?:Automated count|Automated|calculation|Calculated|Manual count)$/i;

/** A test's name, as short as its line in the chart wants it. The whole of it stands in the details. */
export function shorten(code: CodeableConcept): string {
  const known = lookUp(NAMES, codeOf(code, LOINC));
  if (known !== undefined) return say(known);
  const whole = sayConcept(code);
  return whole.replace(PROPERTY, "").replace(SPECIMEN, "").replace(METHOD, "").trim() || whole;
}
