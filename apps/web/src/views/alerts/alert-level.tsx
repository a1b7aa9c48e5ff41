"use client";

import { CircleAlert, TriangleAlert } from "lucide-react";
import { useTranslations } from "use-intl";
import { Badge } from "@/ui/badge.tsx";

export function AlertLevel({ level }: { level: "warning" | "critical" }) {
  const t = useTranslations("alerts");
  const Icon = level === "critical" ? CircleAlert : TriangleAlert;
  return (
    <Badge tone={level} icon={<Icon aria-hidden />}>
      {t(`level.${level}`)}
    </Badge>
  );
}
