"use client";

import { clsx } from "clsx";
import { CircleAlert } from "lucide-react";
import { createContext, type ReactNode, use, useId } from "react";

export type FieldProps = {
  label: ReactNode;
  /** Kept for who cannot see it, not drawn. */
  hideLabel?: boolean | undefined;
  hint?: ReactNode;
  /** What is wrong with what was entered, and what would be right. */
  error?: ReactNode;
  disabled?: boolean | undefined;
  className?: string | undefined;
  children: ReactNode;
};

/** What a control takes from its field, to be spread on it. */
type Control = {
  id: string;
  disabled: boolean;
  "aria-invalid": true | undefined;
  "aria-describedby": string | undefined;
};

const Current = createContext<Control | undefined>(undefined);

/** For the control within a Field: its name, its hint and what is wrong belong to it. */
export function useField(): Control {
  const control = use(Current);
  if (control === undefined) throw new Error("A control stands in a Field.");
  return control;
}

/** A label, its control, its hint and what is wrong. */
export function Field({ label, hideLabel, hint, error, disabled, className, children }: FieldProps) {
  const id = useId();
  const wrong = error !== undefined && error !== null && error !== "" && error !== false;
  const described = [hint === undefined ? "" : `${id}-hint`, wrong ? `${id}-error` : ""].filter((one) => one !== "");
  const control: Control = {
    id,
    disabled: disabled ?? false,
    "aria-invalid": wrong || undefined,
    "aria-describedby": described.length === 0 ? undefined : described.join(" "),
  };
  return (
    <div className={clsx("flex min-w-0 flex-col gap-1", className)}>
      <label htmlFor={id} className={hideLabel ? "sr-only" : "text-xs font-medium text-quiet"}>
        {label}
      </label>
      <Current value={control}>{children}</Current>
      {hint === undefined ? null : (
        <p id={`${id}-hint`} className="text-xs text-faint">
          {hint}
        </p>
      )}
      {wrong && (
        <p id={`${id}-error`} className="flex items-start gap-1 text-xs text-critical">
          <CircleAlert aria-hidden className="mt-1 size-3.5 shrink-0" />
          <span className="min-w-0 wrap-anywhere">{error}</span>
        </p>
      )}
    </div>
  );
}
