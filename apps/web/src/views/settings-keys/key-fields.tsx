"use client";

import { useTranslations } from "use-intl";
import { MomentField } from "@/ui/moment-field.tsx";
import { Select } from "@/ui/select.tsx";
import { TextArea, TextField } from "@/ui/text-field.tsx";
import { HOLDS, type KeyProblems, type KeyText, LEAVES, PERIODS } from "@/views/settings-keys/key-form.ts";

type Props = { value: KeyText; problems: KeyProblems; onChange: (value: KeyText) => void };

/** What a key may do. */
export function KeyFields({ value, problems, onChange }: Props) {
  const t = useTranslations("keys");
  const put =
    <Name extends keyof KeyText>(name: Name) =>
    (next: KeyText[Name]) =>
      onChange({ ...value, [name]: next });
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      <TextField label={t("field.name")} value={value.name} onChange={put("name")} maxLength={512} autoComplete="off" />
      <MomentField
        label={t("field.expires")}
        hint={t("field.expiresHint")}
        value={value.expiresAt}
        onChange={put("expiresAt")}
        error={problems.expiresAt && t("field.past")}
      />
      <TextField
        label={t("field.limit")}
        hint={t("field.limitHint")}
        value={value.limit}
        onChange={put("limit")}
        error={problems.limit && t("field.notAmount")}
        inputMode="decimal"
        autoComplete="off"
        mono
      />
      <Select
        label={t("field.period")}
        options={PERIODS.map((period) => ({ value: period, label: t(`periods.${period}`) }))}
        value={value.period}
        onChange={put("period")}
        disabled={value.limit.trim() === ""}
      />
      <TextArea
        label={t("field.models")}
        hint={t("field.modelsHint")}
        value={value.models}
        onChange={put("models")}
        rows={2}
        mono
      />
      <TextField
        label={t("field.rpm")}
        hint={t("field.rpmHint")}
        value={value.rpm}
        onChange={put("rpm")}
        error={problems.rpm && t("field.notRate")}
        inputMode="numeric"
        autoComplete="off"
        mono
      />
      <Select
        label={t("hold.label")}
        options={HOLDS.map((policy) => ({ value: policy, label: t(`hold.${policy}`) }))}
        value={value.hold}
        onChange={put("hold")}
      />
      <Select
        label={t("leave.label")}
        options={LEAVES.map((policy) => ({ value: policy, label: t(`leave.${policy}`) }))}
        value={value.leave}
        onChange={put("leave")}
      />
    </div>
  );
}
