import type { CodeableConcept } from "fhir/r4";
import { codeOf, LOINC, say, sayConcept } from "../../lib/words.ts";
import type { Words } from "../../lib/words_tables.ts";

/** A test in plain words: its name, and what it tells. */
interface Test {
  readonly name: Words;
  readonly what: Words;
  readonly codes: readonly string[];
}

function test(codes: string, en: string, es: string, whatEn: string, whatEs: string): Test {
  return { codes: codes.split(" "), name: { en, es }, what: { en: whatEn, es: whatEs } };
}

/** The commonest tests by their LOINC codes. What a value means for somebody is for their clinician to say: this says what is measured. */
const TESTS: readonly Test[] = [
  test("85354-9 55284-4", "Blood pressure", "Presión arterial", "How hard the blood presses on the vessels when the heart beats and when it rests.", "Con qué fuerza empuja la sangre las arterias cuando el corazón late y cuando descansa."),
  test("8480-6", "Upper blood pressure", "Presión arterial máxima", "The pressure while the heart beats.", "La presión mientras el corazón late."),
  test("8462-4", "Lower blood pressure", "Presión arterial mínima", "The pressure while the heart rests between beats.", "La presión mientras el corazón descansa entre latidos."),
  test("8867-4", "Heart rate", "Frecuencia cardíaca", "How often the heart beats in a minute.", "Cuántas veces late el corazón en un minuto."),
  test("9279-1", "Breathing rate", "Frecuencia respiratoria", "How often you breathe in a minute.", "Cuántas veces respira en un minuto."),
  test("8310-5", "Body temperature", "Temperatura corporal", "How warm the body is.", "Qué temperatura tiene el cuerpo."),
  test("29463-7 3141-9", "Weight", "Peso", "How much you weigh.", "Cuánto pesa."),
  test("8302-2 8306-3", "Height", "Estatura", "How tall you are.", "Cuánto mide."),
  test("39156-5", "Body mass index (BMI)", "Índice de masa corporal (IMC)", "Weight in relation to height.", "El peso en relación con la estatura."),
  test("59576-9", "BMI for age", "IMC para la edad", "How a child's weight for height compares with other children of that age.", "Cómo se compara el peso de un niño, según su estatura, con otros de su edad."),
  test("77606-2", "Weight for length", "Peso para la talla", "How a small child's weight compares with others of that length.", "Cómo se compara el peso de un niño pequeño con otros de su talla."),
  test("9843-4 8287-5", "Head circumference", "Perímetro de la cabeza", "The measure around the head.", "La medida alrededor de la cabeza."),
  test("8289-1", "Head circumference for age", "Perímetro de la cabeza para la edad", "How the measure around the head compares with other children.", "Cómo se compara la medida de la cabeza con otros niños."),
  test("2708-6 59408-5", "Oxygen in the blood", "Oxígeno en la sangre", "How much of its oxygen the blood carries.", "Cuánto oxígeno lleva la sangre."),
  test("72514-3", "Pain", "Dolor", "How strong you said your pain was, from 0 to 10.", "Qué intensidad de dolor indicó usted, de 0 a 10."),
  test("72166-2", "Smoking", "Tabaco", "Whether you smoke or have smoked.", "Si fuma o ha fumado."),
  test("75325-1", "Symptom", "Síntoma", "", ""),
  test("4548-4", "Long-term blood sugar (HbA1c)", "Azúcar a largo plazo (HbA1c)", "The average blood sugar of the last two to three months.", "El promedio de azúcar en la sangre de los últimos dos o tres meses."),
  test("2339-0 2345-7 1558-6 41653-7", "Blood sugar (glucose)", "Azúcar en la sangre (glucosa)", "How much sugar was in the blood at that moment.", "Cuánto azúcar había en la sangre en ese momento."),
  test("6299-2 3094-0", "Urea nitrogen (kidneys)", "Nitrógeno ureico (riñones)", "Waste that the kidneys remove from the blood.", "Un desecho que los riñones retiran de la sangre."),
  test("38483-4 2160-0", "Creatinine (kidneys)", "Creatinina (riñones)", "Waste of the muscles; shows how well the kidneys filter.", "Un desecho de los músculos; muestra lo bien que filtran los riñones."),
  test("33914-3 48642-3 48643-1 62238-1 98979-8 69405-9", "Kidney function (GFR)", "Función de los riñones (FG)", "How much blood the kidneys clean in a minute.", "Cuánta sangre limpian los riñones en un minuto."),
  test("14959-1 9318-7", "Protein in urine (albumin)", "Proteína en la orina (albúmina)", "A protein that healthy kidneys hold back.", "Una proteína que los riñones sanos retienen."),
  test("49765-1 17861-6", "Calcium", "Calcio", "A mineral for bones, nerves and muscles.", "Un mineral para los huesos, los nervios y los músculos."),
  test("2947-0 2951-2", "Sodium (salt)", "Sodio (sal)", "Keeps the body's water in balance.", "Mantiene el equilibrio del agua del cuerpo."),
  test("6298-4 2823-3", "Potassium", "Potasio", "A mineral that heart and muscles need.", "Un mineral que necesitan el corazón y los músculos."),
  test("2069-3 2075-0", "Chloride", "Cloruro", "A salt that balances the body's fluids.", "Una sal que equilibra los líquidos del cuerpo."),
  test("20565-8 2028-9", "Bicarbonate (CO₂)", "Bicarbonato (CO₂)", "Shows whether the blood is too acid.", "Muestra si la sangre está demasiado ácida."),
  test("2093-3", "Cholesterol, total", "Colesterol total", "All the cholesterol in the blood together.", "Todo el colesterol de la sangre."),
  test("2571-8", "Triglycerides", "Triglicéridos", "Fats that the blood carries after eating.", "Grasas que lleva la sangre después de comer."),
  test("18262-6 13457-7 2089-1", "LDL cholesterol", "Colesterol LDL", "The cholesterol that can settle in the vessels.", "El colesterol que puede depositarse en las arterias."),
  test("2085-9", "HDL cholesterol", "Colesterol HDL", "The cholesterol that is being carried away.", "El colesterol que se retira de las arterias."),
  test("6690-2", "White blood cells", "Glóbulos blancos", "The cells that fight infections.", "Las células que combaten las infecciones."),
  test("789-8", "Red blood cells", "Glóbulos rojos", "The cells that carry oxygen.", "Las células que transportan el oxígeno."),
  test("718-7", "Haemoglobin", "Hemoglobina", "The red substance that carries oxygen in the blood.", "La sustancia roja que lleva el oxígeno en la sangre."),
  test("4544-3 20570-8", "Haematocrit", "Hematocrito", "How much of the blood is red cells.", "Qué parte de la sangre son glóbulos rojos."),
  test("787-2", "Size of red cells (MCV)", "Tamaño de los glóbulos rojos (VCM)", "How large the red blood cells are.", "Qué tamaño tienen los glóbulos rojos."),
  test("785-6", "Haemoglobin per cell (MCH)", "Hemoglobina por glóbulo (HCM)", "How much haemoglobin a red cell has.", "Cuánta hemoglobina tiene cada glóbulo rojo."),
  test("786-4", "Haemoglobin concentration (MCHC)", "Concentración de hemoglobina (CHCM)", "How densely red cells are filled with haemoglobin.", "Qué concentración de hemoglobina tienen los glóbulos rojos."),
  test("21000-5 788-0", "Variation of red cells (RDW)", "Variación de los glóbulos rojos (ADE)", "How much red cells differ in size.", "Cuánto varían de tamaño los glóbulos rojos."),
  test("777-3", "Platelets", "Plaquetas", "The cells that stop bleeding.", "Las células que detienen las hemorragias."),
  test("32207-3", "Variation of platelets", "Variación de las plaquetas", "How much platelets differ in size.", "Cuánto varían de tamaño las plaquetas."),
  test("32623-1", "Size of platelets", "Tamaño de las plaquetas", "How large the platelets are.", "Qué tamaño tienen las plaquetas."),
  test("2885-2", "Protein, total", "Proteínas totales", "All the proteins in the blood together.", "Todas las proteínas de la sangre."),
  test("1751-7", "Albumin", "Albúmina", "The commonest protein of the blood, made by the liver.", "La proteína más abundante de la sangre; la produce el hígado."),
  test("10834-0", "Globulin", "Globulina", "Proteins, many of which fight infections.", "Proteínas; muchas de ellas combaten infecciones."),
  test("1975-2", "Bilirubin (liver)", "Bilirrubina (hígado)", "A yellow substance that the liver removes.", "Una sustancia amarilla que el hígado elimina."),
  test("6768-6", "Alkaline phosphatase (liver, bones)", "Fosfatasa alcalina (hígado, huesos)", "An enzyme of liver and bones.", "Una enzima del hígado y los huesos."),
  test("1742-6", "ALT (liver)", "ALT (hígado)", "An enzyme that an irritated liver releases.", "Una enzima que libera el hígado irritado."),
  test("1920-8", "AST (liver, muscles)", "AST (hígado, músculos)", "An enzyme of liver and muscles.", "Una enzima del hígado y los músculos."),
  test("3016-3 11580-8", "TSH (thyroid)", "TSH (tiroides)", "The hormone that drives the thyroid gland.", "La hormona que estimula la tiroides."),
  test("3024-7", "Free T4 (thyroid)", "T4 libre (tiroides)", "A hormone that the thyroid gland makes.", "Una hormona que produce la tiroides."),
  test("1988-5 30522-7", "CRP (inflammation)", "PCR (inflamación)", "Rises when something in the body is inflamed.", "Sube cuando hay inflamación en el cuerpo."),
  test("2276-4", "Ferritin (iron store)", "Ferritina (reserva de hierro)", "How much iron the body has stored.", "Cuánto hierro tiene guardado el cuerpo."),
  test("6301-6 34714-6", "INR (clotting)", "INR (coagulación)", "How quickly the blood clots.", "Con qué rapidez coagula la sangre."),
  test("2857-1", "PSA (prostate)", "PSA (próstata)", "A protein that the prostate makes.", "Una proteína que produce la próstata."),
  test("1989-3 62292-8", "Vitamin D", "Vitamina D", "A vitamin for the bones.", "Una vitamina para los huesos."),
  test("55758-7", "Mood, short questionnaire (PHQ-2)", "Ánimo, cuestionario breve (PHQ-2)", "Two questions about low mood; 0 to 6 points.", "Dos preguntas sobre el ánimo bajo; de 0 a 6 puntos."),
  test("44261-6 89204-2", "Mood questionnaire (PHQ-9)", "Cuestionario de ánimo (PHQ-9)", "Nine questions about low mood; 0 to 27 points.", "Nueve preguntas sobre el ánimo bajo; de 0 a 27 puntos."),
  test("70274-6", "Anxiety questionnaire (GAD-7)", "Cuestionario de ansiedad (GAD-7)", "Seven questions about worry; 0 to 21 points.", "Siete preguntas sobre la preocupación; de 0 a 21 puntos."),
  test("75626-2", "Alcohol questionnaire (AUDIT-C)", "Cuestionario sobre alcohol (AUDIT-C)", "Three questions about drinking; 0 to 12 points.", "Tres preguntas sobre el consumo de alcohol; de 0 a 12 puntos."),
  test("82667-7", "Drug use questionnaire (DAST-10)", "Cuestionario sobre drogas (DAST-10)", "Ten questions about drugs; 0 to 10 points.", "Diez preguntas sobre drogas; de 0 a 10 puntos."),
  test("76504-0", "Safety at home (HARK)", "Seguridad en casa (HARK)", "Four questions about violence by a partner.", "Cuatro preguntas sobre violencia de pareja."),
  test("93025-5", "Living conditions (PRAPARE)", "Condiciones de vida (PRAPARE)", "Questions about home, work, money and support.", "Preguntas sobre vivienda, trabajo, dinero y apoyo."),
  test("59460-6 59461-4", "Risk of falling", "Riesgo de caídas", "How likely a fall is, by a questionnaire.", "La probabilidad de una caída, según un cuestionario."),
  test("57905-2 29771-3", "Hidden blood in stool", "Sangre oculta en heces", "Blood that cannot be seen.", "Sangre que no se ve a simple vista."),
  test("5803-2", "Acidity of urine", "Acidez de la orina", "How acid the urine is.", "Qué acidez tiene la orina."),
  test("5811-5", "Density of urine", "Densidad de la orina", "How concentrated the urine is.", "Qué concentración tiene la orina."),
  test("5792-7", "Sugar in urine", "Azúcar en la orina", "Sugar that passed into the urine.", "Azúcar que pasó a la orina."),
  test("5804-0", "Protein in urine", "Proteína en la orina", "Protein that passed into the urine.", "Proteína que pasó a la orina."),
  test("2514-8", "Ketones in urine", "Cetonas en la orina", "Appear when the body burns fat instead of sugar.", "Aparecen cuando el cuerpo quema grasa en lugar de azúcar."),
  test("94531-1 94500-6", "COVID-19 test", "Prueba de COVID-19", "Whether the virus of COVID-19 was found.", "Si se encontró el virus de la COVID-19."),
  test("92142-9 92141-1", "Influenza test", "Prueba de gripe", "Whether an influenza virus was found.", "Si se encontró un virus de la gripe."),
];

const BY_CODE: ReadonlyMap<string, Test> = new Map(TESTS.flatMap((one) => one.codes.map((code) => [code, one] as const)));

function find(code: CodeableConcept | undefined): Test | undefined {
  return (code?.coding ?? []).flatMap((one) => (one.system === LOINC ? [BY_CODE.get(one.code ?? "")] : [])).find((one) => one !== undefined);
}

/** A test's plain name; as the record calls it where we know none. */
export function sayTest(code: CodeableConcept | undefined): string {
  const known = find(code);
  return known === undefined ? sayConcept(code) : say(known.name);
}

/** What the test tells, in a sentence; "" where we know none. */
export function explainTest(code: CodeableConcept | undefined): string {
  const known = find(code);
  return known === undefined ? "" : say(known.what);
}

/** The same test under its several codes, so that its values make one row. */
export function keyOfTest(code: CodeableConcept | undefined): string {
  return find(code)?.codes[0] ?? (codeOf(code, LOINC) || sayConcept(code));
}
