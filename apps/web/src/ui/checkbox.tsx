"use client";

import { clsx } from "clsx";
import type { ReactNode } from "react";

export type CheckboxProps = {
  label: ReactNode;
  /** Kept for who cannot see it, not drawn: boxes of a table's rows. */
  hideLabel?: boolean | undefined;
  checked: boolean;
  /** Some of what it stands for. */
  some?: boolean | undefined;
  onChange: (checked: boolean) => void;
  disabled?: boolean | undefined;
  hint?: ReactNode;
  className?: string | undefined;
};

/** The browser's own. The whole label is the target, at least 24 px high. */
export function Checkbox({ label, hideLabel, checked, some, onChange, disabled, hint, className }: CheckboxProps) {
  return (
    <label className={clsx("inline-flex min-h-6 min-w-6 items-start gap-2", className)}>
      <input
        type="checkbox"
        ref={(box) => {
          if (box) box.indeterminate = some ?? false;
        }}
        checked={checked}
        disabled={disabled}
        onChange={({ target }) => onChange(target.checked)}
        className="mt-[3px] size-4 shrink-0 accent-accent"
      />
      <span className={hideLabel ? "sr-only" : "min-w-0"}>
        {label}
        {hint === undefined ? null : <span className="block text-xs text-faint">{hint}</span>}
      </span>
    </label>
  );
}
