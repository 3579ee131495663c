import type { MessageDescriptor } from "@lingui/core";
import { useLingui } from "@lingui/react/macro";
import type { ReactElement } from "react";
import type { Field } from "./forms.ts";

interface FieldProps {
  readonly field: Field;
  readonly value: string;
  readonly problem: MessageDescriptor | undefined;
  readonly onChange: (value: string) => void;
}

const TYPES = { line: "text", number: "text", day: "date", moment: "datetime-local" } as const;

/** A field with its name, its hint and what is wrong with it, tied together for screen readers. */
export function FieldInput({ field, value, problem, onChange }: FieldProps): ReactElement {
  const { i18n, t } = useLingui();
  const hints = [field.hint === undefined ? "" : `${field.key}-hint`, problem === undefined ? "" : `${field.key}-problem`].filter((id) => id !== "").join(" ");
  const shared = { name: field.key, value, required: field.isRequired, "aria-invalid": problem !== undefined, "aria-describedby": hints === "" ? undefined : hints };
  return (
    <div className="field-with-help">
      <label className="field">
        <span>{i18n._(field.name)}{field.isRequired ? null : <span className="soft optional"> · {t`if you like`}</span>}</span>
        {field.kind === "text" ? <textarea rows={4} maxLength={field.lengthMost} {...shared} onChange={(event) => onChange(event.target.value)} /> : null}
        {field.kind === "choice" ? (
          <select {...shared} onChange={(event) => onChange(event.target.value)}>
            {field.choices?.map((one) => <option key={one.value} value={one.value}>{typeof one.name === "string" ? one.name : i18n._(one.name)}</option>)}
          </select>
        ) : null}
        {field.kind === "text" || field.kind === "choice" ? null : (
          <input type={TYPES[field.kind]} inputMode={field.kind === "number" ? "decimal" : undefined} maxLength={field.lengthMost} autoComplete="off" {...shared} onChange={(event) => onChange(event.target.value)} />
        )}
      </label>
      {field.hint === undefined ? null : <p id={`${field.key}-hint`} className="soft small">{i18n._(field.hint)}</p>}
      {problem === undefined ? null : <p id={`${field.key}-problem`} className="wrong small" role="alert">{i18n._(problem)}</p>}
    </div>
  );
}
