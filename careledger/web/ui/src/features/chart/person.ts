import { useLingui } from "@lingui/react/macro";
import { locale } from "../../lib/i18n.ts";
import { countYears, parseDate } from "../../lib/words.ts";

const MONTH_MS = 2_629_800_000;

/** How old somebody of that day of birth is (or was, on `until`): in months below two years. "" if it is not known to the day. */
export function sayAge(born: string, until: Date = new Date()): string {
  const years = countYears(born, until);
  if (years === undefined || years < 0) return "";
  const of = (value: number, unit: string): string => new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "short" }).format(value);
  if (years >= 2) return of(years, "year");
  const months = Math.floor((until.getTime() - (parseDate(born)?.getTime() ?? 0)) / MONTH_MS);
  return of(Math.max(0, months), "month");
}

/** The word for FHIR's administrative gender. */
export function useSex(): (code: string | undefined) => string {
  const { t } = useLingui();
  return (code) => {
    if (code === "female") return t`female`;
    if (code === "male") return t`male`;
    return code === "other" ? t`other` : "";
  };
}
