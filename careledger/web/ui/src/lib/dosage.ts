import type { Dosage, DosageDoseAndRate, TimingRepeat } from "fhir/r4";
import { clip } from "./clip.ts";
import { locale } from "./i18n.ts";
import { lookUp } from "./table.ts";
import { joinWords, say, sayConcept, sayConcepts, sayMoment, sayNumber, sayPeriod, sayQuantity, sayRange } from "./words.ts";
import type { Words } from "./words_tables.ts";

/**
 * How a medicine is taken, in words: as whoever prescribed it wrote, else from the codes and numbers, all of them. Nothing that
 * limits a dose is left out: 10 mg on Mondays must not read as 10 mg. A code that has no words here stands as it is.
 */
export function sayDosage(dosages: readonly Dosage[] | undefined): string {
  const said = (dosages ?? []).map((one) => ({ step: one.sequence, text: joinWords([one.text ?? compose(one), one.patientInstruction], " · ") })).filter((one) => one.text !== "");
  return said.reduce((all, { step, text }, index) => {
    const before = said[index - 1];
    if (before === undefined) return text;
    const isNext = step !== undefined && before.step !== undefined && before.step !== step;
    return `${all}; ${isNext ? say(PHRASES.then, text) : text}`;
  }, "");
}

const PHRASES = {
  once: { en: "once a day", es: "una vez al día" },
  daily: { en: "{0} times a day", es: "{0} veces al día" },
  every: { en: "every {0}", es: "cada {0}" },
  times: { en: "{0} times every {1}", es: "{0} veces cada {1}" },
  onceIn: { en: "once every {0}", es: "una vez cada {0}" },
  between: { en: "{0} to {1}", es: "{0} a {1}" },
  upTo: { en: "up to {0}", es: "hasta {0}" },
  days: { en: "only on {0}", es: "solo los días: {0}" },
  at: { en: "at {0}", es: "a las {0}" },
  on: { en: "on {0}", es: "en estas fechas: {0}" },
  minutes: { en: "{0} minutes {1}", es: "{0} minutos {1}" },
  lasting: { en: "over {0}", es: "durante {0} cada vez" },
  during: { en: "for {0}", es: "durante {0}" },
  inAll: { en: "{0} times in all", es: "{0} veces en total" },
  onceInAll: { en: "once and no more", es: "una sola vez" },
  asNeeded: { en: "as needed", es: "si hace falta" },
  neededFor: { en: "as needed: {0}", es: "si hace falta: {0}" },
  most: { en: "at most {0} in {1}", es: "como máximo {0} en {1}" },
  mostAtOnce: { en: "at most {0} at a time", es: "como máximo {0} cada vez" },
  mostEver: { en: "at most {0} in a lifetime", es: "como máximo {0} en toda la vida" },
  then: { en: "then {0}", es: "después {0}" },
} as const satisfies Readonly<Record<string, Words>>;

/** FHIR's units of time: one of them, and several. */
const PERIODS: Readonly<Record<string, readonly [one: Words, more: Words]>> = {
  s: [{ en: "second", es: "segundo" }, { en: "seconds", es: "segundos" }],
  min: [{ en: "minute", es: "minuto" }, { en: "minutes", es: "minutos" }],
  h: [{ en: "hour", es: "hora" }, { en: "hours", es: "horas" }],
  d: [{ en: "day", es: "día" }, { en: "days", es: "días" }],
  wk: [{ en: "week", es: "semana" }, { en: "weeks", es: "semanas" }],
  mo: [{ en: "month", es: "mes" }, { en: "months", es: "meses" }],
  a: [{ en: "year", es: "año" }, { en: "years", es: "años" }],
};

/** FHIR's EventTiming. */
const WHEN: Readonly<Record<string, Words>> = {
  MORN: { en: "in the morning", es: "por la mañana" },
  "MORN.early": { en: "early in the morning", es: "a primera hora de la mañana" },
  "MORN.late": { en: "late in the morning", es: "al final de la mañana" },
  NOON: { en: "at noon", es: "al mediodía" },
  AFT: { en: "in the afternoon", es: "por la tarde" },
  "AFT.early": { en: "early in the afternoon", es: "a primera hora de la tarde" },
  "AFT.late": { en: "late in the afternoon", es: "al final de la tarde" },
  EVE: { en: "in the evening", es: "al anochecer" },
  "EVE.early": { en: "early in the evening", es: "a primera hora de la noche" },
  "EVE.late": { en: "late in the evening", es: "al final de la noche" },
  NIGHT: { en: "at night", es: "por la noche" },
  PHS: { en: "after falling asleep", es: "después de dormirse" },
  HS: { en: "before going to sleep", es: "antes de dormir" },
  WAKE: { en: "on waking", es: "al despertar" },
  C: { en: "with a meal", es: "con una comida" },
  CM: { en: "with breakfast", es: "con el desayuno" },
  CD: { en: "with lunch", es: "con la comida del mediodía" },
  CV: { en: "with dinner", es: "con la cena" },
  AC: { en: "before a meal", es: "antes de una comida" },
  ACM: { en: "before breakfast", es: "antes del desayuno" },
  ACD: { en: "before lunch", es: "antes de la comida del mediodía" },
  ACV: { en: "before dinner", es: "antes de la cena" },
  PC: { en: "after a meal", es: "después de una comida" },
  PCM: { en: "after breakfast", es: "después del desayuno" },
  PCD: { en: "after lunch", es: "después de la comida del mediodía" },
  PCV: { en: "after dinner", es: "después de la cena" },
};

/** Timings that orders abbreviate: FHIR's TimingAbbreviation. */
const CODES: Readonly<Record<string, Words>> = {
  QD: PHRASES.once,
  BID: { en: "2 times a day", es: "2 veces al día" },
  TID: { en: "3 times a day", es: "3 veces al día" },
  QID: { en: "4 times a day", es: "4 veces al día" },
  QOD: { en: "every 2 days", es: "cada 2 días" },
  Q1H: { en: "every hour", es: "cada hora" },
  Q2H: { en: "every 2 hours", es: "cada 2 horas" },
  Q3H: { en: "every 3 hours", es: "cada 3 horas" },
  Q4H: { en: "every 4 hours", es: "cada 4 horas" },
  Q6H: { en: "every 6 hours", es: "cada 6 horas" },
  Q8H: { en: "every 8 hours", es: "cada 8 horas" },
  AM: WHEN["MORN"] ?? PHRASES.once,
  PM: WHEN["AFT"] ?? PHRASES.once,
  BED: WHEN["HS"] ?? PHRASES.once,
  WK: { en: "every week", es: "cada semana" },
  MO: { en: "every month", es: "cada mes" },
};

const WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const MONDAY = Date.UTC(2024, 0, 1);
const DAY_MS = 86_400_000;

function compose(dosage: Dosage): string {
  const { timing, maxDosePerPeriod: most } = dosage;
  return joinWords([
    joinWords((dosage.doseAndRate ?? []).map(sayAmount), "; "),
    ...sayRepeat(timing?.repeat),
    sayCode(dosage),
    timing?.event === undefined ? "" : say(PHRASES.on, joinWords(timing.event.map(sayMoment))),
    sayConcept(dosage.route),
    sayNeed(dosage),
    most?.numerator === undefined ? "" : say(PHRASES.most, sayQuantity(most.numerator), saySpan(most.denominator?.value, undefined, most.denominator?.code ?? most.denominator?.unit)),
    dosage.maxDosePerAdministration === undefined ? "" : say(PHRASES.mostAtOnce, sayQuantity(dosage.maxDosePerAdministration)),
    dosage.maxDosePerLifetime === undefined ? "" : say(PHRASES.mostEver, sayQuantity(dosage.maxDosePerLifetime)),
    sayConcepts(dosage.additionalInstruction),
  ]);
}

function sayAmount(dose: DosageDoseAndRate): string {
  const amount = sayQuantity(dose.doseQuantity) || (dose.doseRange === undefined ? "" : sayRange(dose.doseRange));
  const ratio = dose.rateRatio;
  const rate = sayQuantity(dose.rateQuantity)
    || (dose.rateRange === undefined ? "" : sayRange(dose.rateRange))
    || (ratio === undefined ? "" : joinWords([sayQuantity(ratio.numerator), saySpan(ratio.denominator?.value, undefined, ratio.denominator?.code ?? ratio.denominator?.unit)], " / "));
  return joinWords([amount, rate]);
}

/** A code speaks where nothing else does, and where it is no mere abbreviation of the rest. */
function sayCode({ timing }: Dosage): string {
  const code = timing?.code?.coding?.[0]?.code;
  if (timing?.code?.text === undefined && timing?.repeat?.frequency !== undefined) return "";
  const known = timing?.code?.text === undefined ? lookUp(CODES, code) : undefined;
  return known === undefined ? sayConcept(timing?.code) : say(known);
}

function sayNeed({ asNeededBoolean: isNeeded, asNeededCodeableConcept: need }: Dosage): string {
  if (need !== undefined) return say(PHRASES.neededFor, sayConcept(need));
  return isNeeded === true ? say(PHRASES.asNeeded) : "";
}

function sayRepeat(repeat: TimingRepeat | undefined): readonly string[] {
  if (repeat === undefined) return [];
  const { dayOfWeek = [], timeOfDay = [], when = [], offset, duration, durationMax, durationUnit, count, countMax } = repeat;
  const at = joinWords(when.map((code) => sayWhen(code)));
  return [
    sayOften(repeat),
    dayOfWeek.length === 0 ? "" : say(PHRASES.days, joinWords(dayOfWeek.map(sayWeekday))),
    timeOfDay.length === 0 ? "" : say(PHRASES.at, joinWords(timeOfDay.map((time) => time.slice(0, 5)))),
    offset === undefined || at === "" ? at : say(PHRASES.minutes, sayNumber(offset), at),
    duration === undefined ? "" : say(PHRASES.lasting, saySpan(duration, durationMax, durationUnit)),
    repeat.boundsDuration?.value === undefined ? "" : say(PHRASES.during, saySpan(repeat.boundsDuration.value, undefined, repeat.boundsDuration.code ?? repeat.boundsDuration.unit)),
    repeat.boundsRange === undefined ? "" : say(PHRASES.during, sayRange(repeat.boundsRange)),
    sayPeriod(repeat.boundsPeriod),
    count === undefined ? "" : count === 1 && countMax === undefined ? say(PHRASES.onceInAll) : say(PHRASES.inAll, sayBetween(count, countMax)),
  ];
}

/** "3 times a day", "every 6 to 8 hours". A period without a frequency is once in each. */
function sayOften({ frequency, frequencyMax, period, periodMax, periodUnit }: TimingRepeat): string {
  const isOnce = frequencyMax === undefined && (frequency ?? 1) === 1;
  const often = frequency === undefined && frequencyMax !== undefined ? say(PHRASES.upTo, sayNumber(frequencyMax)) : sayBetween(frequency ?? 1, frequencyMax);
  if (period === undefined || periodUnit === undefined) return frequency === undefined && frequencyMax === undefined ? "" : say(PHRASES.inAll, often);
  if (period === 1 && periodMax === undefined && periodUnit === "d") return isOnce ? say(PHRASES.once) : say(PHRASES.daily, often);
  const span = period === 1 && periodMax === undefined ? sayUnitOf(1, periodUnit) : saySpan(period, periodMax, periodUnit);
  return isOnce ? say(period === 1 && periodMax === undefined ? PHRASES.onceIn : PHRASES.every, span) : say(PHRASES.times, often, span);
}

function sayBetween(least: number, most: number | undefined): string {
  return most === undefined || most === least ? sayNumber(least) : say(PHRASES.between, sayNumber(least), sayNumber(most));
}

/** "6 to 8 hours", "1 day". */
function saySpan(least: number | undefined, most: number | undefined, unit: string | undefined): string {
  if (least === undefined) return sayUnitOf(1, unit);
  return joinWords([sayBetween(least, most), sayUnitOf(most ?? least, unit)], " ");
}

function sayUnitOf(count: number, unit: string | undefined): string {
  const known = lookUp(PERIODS, unit);
  return known === undefined ? clip(unit ?? "") : say(known[count === 1 ? 0 : 1]);
}

function sayWhen(code: string): string {
  const known = lookUp(WHEN, code);
  return known === undefined ? clip(code) : say(known);
}

function sayWeekday(code: string): string {
  const at = WEEK.findIndex((one) => one === code);
  return at < 0 ? clip(code) : new Intl.DateTimeFormat(locale(), { weekday: "long", timeZone: "UTC" }).format(MONDAY + at * DAY_MS);
}
