"use client";

// The browser's own select: no code of ours can be as quick, as reachable, or as right on a phone.
import { clsx } from "clsx";
import { ChevronsUpDown } from "lucide-react";
import type { ComponentProps } from "react";
import { Field, type FieldProps, useField } from "@/ui/field.tsx";

export type Option<Value extends string> = { value: Value; label: string; note?: string };

export type SelectProps<Value extends string> = Omit<FieldProps, "children"> & {
  options: readonly Option<Value>[];
  /** null: none chosen. */
  value: Value | null;
  onChange: (value: Value) => void;
  placeholder?: string | undefined;
  name?: string | undefined;
};

/** One of a few. For many that one searches, use Choice. */
export function Select<Value extends string>(props: SelectProps<Value>) {
  const { label, hideLabel, hint, error, disabled, className, options, value, onChange, placeholder, name } = props;
  return (
    <Field {...{ label, hideLabel, hint, error, disabled, className }}>
      <span className="relative block">
        <Choices
          value={value ?? ""}
          {...(name === undefined ? {} : { name })}
          onChange={({ target }) => {
            const chosen = options.find((option) => option.value === target.value);
            if (chosen) onChange(chosen.value);
          }}
          className={clsx("control w-full appearance-none truncate pr-8", value === null && "text-faint")}
        >
          {value === null && (
            <option value="" disabled>
              {placeholder}
            </option>
          )}
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.note === undefined ? option.label : `${option.label} — ${option.note}`}
            </option>
          ))}
        </Choices>
        <ChevronsUpDown aria-hidden className="pointer-events-none absolute top-2 right-2 size-4 text-faint" />
      </span>
    </Field>
  );
}

function Choices(props: ComponentProps<"select">) {
  return <select {...props} {...useField()} />;
}
