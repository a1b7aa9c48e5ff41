"use client";

import { Checkbox as Base } from "@base-ui/react/checkbox";
import { Switch as BaseSwitch } from "@base-ui/react/switch";
import { clsx } from "clsx";
import { Check, Minus } from "lucide-react";
import { type ReactNode, useId } from "react";

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

/** The whole label is the target, at least 24 px high. */
export function Checkbox({ label, hideLabel, checked, some, onChange, disabled, hint, className }: CheckboxProps) {
  const id = useId();
  return (
    <label htmlFor={id} className={clsx("inline-flex min-h-6 min-w-6 items-start gap-2", className)}>
      <Base.Root
        id={id}
        checked={checked}
        indeterminate={some ?? false}
        onCheckedChange={(next) => onChange(next)}
        disabled={disabled ?? false}
        className="relative mt-[3px] flex size-4 shrink-0 items-center justify-center rounded border border-line-strong bg-surface text-on-accent before:absolute before:-inset-1 data-checked:border-accent data-checked:bg-accent data-disabled:opacity-60 data-indeterminate:border-accent data-indeterminate:bg-accent"
      >
        <Base.Indicator className="flex data-unchecked:hidden">
          {some ? <Minus aria-hidden className="size-3.5" /> : <Check aria-hidden className="size-3.5" />}
        </Base.Indicator>
      </Base.Root>
      <Words {...{ label, hideLabel, hint }} />
    </label>
  );
}

export type SwitchProps = Omit<CheckboxProps, "some">;

/** Takes effect at once; what is saved later is a Checkbox. */
export function Switch({ label, hideLabel, checked, onChange, disabled, hint, className }: SwitchProps) {
  const id = useId();
  return (
    <label htmlFor={id} className={clsx("inline-flex min-h-6 items-start gap-2", className)}>
      <BaseSwitch.Root
        id={id}
        checked={checked}
        onCheckedChange={(next) => onChange(next)}
        disabled={disabled ?? false}
        className="mt-px flex h-5 w-9 shrink-0 rounded-full border border-line-strong bg-sunken p-0.5 transition-colors data-checked:border-accent data-checked:bg-accent data-disabled:opacity-60"
      >
        <BaseSwitch.Thumb className="size-3.5 rounded-full bg-line-strong transition-[translate,background-color] data-checked:translate-x-4 data-checked:bg-on-accent" />
      </BaseSwitch.Root>
      <Words {...{ label, hideLabel, hint }} />
    </label>
  );
}

function Words({ label, hideLabel, hint }: { label: ReactNode; hideLabel: boolean | undefined; hint: ReactNode }) {
  return (
    <span className={hideLabel ? "sr-only" : "min-w-0"}>
      {label}
      {hint === undefined ? null : <span className="block text-xs text-faint">{hint}</span>}
    </span>
  );
}
