"use client";

import { Field as Base } from "@base-ui/react/field";
import { clsx } from "clsx";
import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";

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

/** A label, its control, its hint and what is wrong. */
export function Field({ label, hideLabel, hint, error, disabled, className, children }: FieldProps) {
  const wrong = error !== undefined && error !== null && error !== "" && error !== false;
  return (
    <Base.Root invalid={wrong} disabled={disabled ?? false} className={clsx("flex min-w-0 flex-col gap-1", className)}>
      <Base.Label className={hideLabel ? "sr-only" : "text-xs font-medium text-quiet"}>{label}</Base.Label>
      {children}
      {hint === undefined ? null : <Base.Description className="text-xs text-faint">{hint}</Base.Description>}
      <Base.Error match={wrong} className="flex items-start gap-1 text-xs text-critical">
        <CircleAlert aria-hidden className="mt-1 size-3.5 shrink-0" />
        <span className="min-w-0 wrap-anywhere">{error}</span>
      </Base.Error>
    </Base.Root>
  );
}
