"use client";

import { clsx } from "clsx";
import type { ComponentProps, ReactNode } from "react";
import { Field, type FieldProps, useField } from "@/ui/field.tsx";

type Labelled = Omit<FieldProps, "children">;

export type TextFieldProps = Labelled &
  Omit<ComponentProps<"input">, "value" | "onChange" | "className" | "children"> & {
    value?: string | undefined;
    onChange?: ((value: string) => void) | undefined;
    /** Drawn before the text. */
    icon?: ReactNode;
    /** Ids, amounts and commands. */
    mono?: boolean | undefined;
  };

export function TextField(props: TextFieldProps) {
  const { label, hideLabel, hint, error, disabled, className, value, onChange, icon, mono, ...rest } = props;
  const control = (
    <Input
      {...rest}
      {...(value === undefined ? {} : { value })}
      onChange={({ target }) => onChange?.(target.value)}
      className={clsx("control w-full", mono && "font-mono tabular-nums", icon !== undefined && "pl-8")}
    />
  );
  return (
    <Field {...{ label, hideLabel, hint, error, disabled, className }}>
      {icon === undefined ? (
        control
      ) : (
        <span className="relative block">
          <span aria-hidden className="absolute inset-y-0 left-2.5 flex items-center text-faint [&>svg]:size-4">
            {icon}
          </span>
          {control}
        </span>
      )}
    </Field>
  );
}

function Input(props: ComponentProps<"input">) {
  return <input {...props} {...useField()} />;
}

export type TextAreaProps = Labelled &
  Omit<ComponentProps<"textarea">, "value" | "onChange" | "className" | "children"> & {
    value: string;
    onChange: (value: string) => void;
    mono?: boolean | undefined;
  };

/** Several lines: reasons, raw entries. */
export function TextArea(props: TextAreaProps) {
  const { label, hideLabel, hint, error, disabled, className, value, onChange, mono, rows = 3, ...rest } = props;
  return (
    <Field {...{ label, hideLabel, hint, error, disabled, className }}>
      <Area
        {...rest}
        rows={rows}
        value={value}
        onChange={({ target }) => onChange(target.value)}
        className={clsx("control w-full", mono && "font-mono")}
      />
    </Field>
  );
}

function Area(props: ComponentProps<"textarea">) {
  return <textarea {...props} {...useField()} />;
}
