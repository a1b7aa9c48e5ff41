"use client";

import type { OperatorRole } from "@drawdown/db";
import { useTranslations } from "use-intl";
import { Select } from "@/ui/select.tsx";

const roles = ["viewer", "support", "admin"] as const;

export function RoleSelect({ value, onChange }: { value: OperatorRole; onChange: (role: OperatorRole) => void }) {
  const t = useTranslations("operators");
  const options = roles.map((role) => ({ value: role, label: t(`roles.${role}`) }));
  return <Select label={t("role")} options={options} value={value} onChange={onChange} />;
}
