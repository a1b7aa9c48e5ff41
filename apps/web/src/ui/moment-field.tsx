"use client";

import { useTranslations } from "use-intl";
import type { FieldProps } from "@/ui/field.tsx";
import { useZone } from "@/ui/moment.tsx";
import { TextField } from "@/ui/text-field.tsx";
import { wallMoment, wallText, zoneText } from "@/ui/time.ts";

export type MomentFieldProps = Omit<FieldProps, "children" | "label"> & {
  label: string;
  value: Date | null;
  onChange: (value: Date | null) => void;
  min?: Date | undefined;
  max?: Date | undefined;
};

/** A date and time of day in the operator's zone, which its label names. */
export function MomentField({ label, value, onChange, min, max, ...rest }: MomentFieldProps) {
  const zone = useZone();
  const t = useTranslations("ui");
  return (
    <TextField
      {...rest}
      type="datetime-local"
      step={1}
      label={t("moment.inZone", { label, zone: zoneText(value ?? new Date(0), zone) })}
      value={value === null ? "" : wallText(value, zone)}
      onChange={(text) => onChange(wallMoment(text, zone) ?? null)}
      {...(min === undefined ? {} : { min: wallText(min, zone) })}
      {...(max === undefined ? {} : { max: wallText(max, zone) })}
    />
  );
}
