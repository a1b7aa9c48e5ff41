"use client";

import { Select as Base } from "@base-ui/react/select";
import { clsx } from "clsx";
import { Check, ChevronsUpDown } from "lucide-react";
import type { ReactNode } from "react";
import { Field, type FieldProps } from "@/ui/field.tsx";

export type Option<Value extends string> = { value: Value; label: string; note?: ReactNode };

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
      <Base.Root
        items={options as Option<Value>[]}
        value={value}
        onValueChange={(next) => {
          if (next !== null) onChange(next);
        }}
        {...(name === undefined ? {} : { name })}
      >
        <Base.Trigger className="control flex w-full items-center justify-between gap-2 text-left">
          <Base.Value placeholder={placeholder} className="truncate data-placeholder:text-faint" />
          <Base.Icon className="shrink-0 text-faint">
            <ChevronsUpDown aria-hidden className="size-4" />
          </Base.Icon>
        </Base.Trigger>
        <Base.Portal>
          <Base.Positioner sideOffset={4} alignItemWithTrigger={false} className="z-50">
            <Base.Popup className="popup max-h-[min(22rem,var(--available-height))] min-w-(--anchor-width) overflow-y-auto p-1">
              <Base.List>
                {options.map((option) => (
                  <Base.Item key={option.value} value={option.value} className="popup-item">
                    <Check aria-hidden className={clsx("size-4 shrink-0", option.value !== value && "invisible")} />
                    <Base.ItemText className="min-w-0 wrap-anywhere">{option.label}</Base.ItemText>
                    {option.note === undefined ? null : (
                      <span className="ml-auto pl-3 text-xs text-faint">{option.note}</span>
                    )}
                  </Base.Item>
                ))}
              </Base.List>
            </Base.Popup>
          </Base.Positioner>
        </Base.Portal>
      </Base.Root>
    </Field>
  );
}
