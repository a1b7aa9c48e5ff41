"use client";

import type { Operation, OperationCounts } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { ProgressBar } from "@/ui/progress.tsx";
import { Stat, StatGroup } from "@/ui/stat.tsx";

export function OperationProgress({ state, counts }: { state: Operation["state"]; counts: OperationCounts }) {
  const t = useTranslations("operations");
  const { targets, applied, already, failed, left } = counts;
  const over = state === "done" || state === "aborted";
  return (
    <div className="grid gap-3">
      <ProgressBar
        label={t(`stateHelp.${state}`)}
        done={targets - left}
        total={targets}
        text={t("doneOf", { done: targets - left, total: targets })}
        tone={failed > 0 ? "critical" : over ? "ok" : "accent"}
      />
      <StatGroup label={t("progress")}>
        <Stat label={t("count.targets")} value={targets.toLocaleString("en")} />
        <Stat label={t("count.applied")} value={applied.toLocaleString("en")} tone={applied > 0 ? "ok" : "neutral"} />
        <Stat label={t("count.already")} value={already.toLocaleString("en")} />
        <Stat
          label={t("count.failed")}
          value={failed.toLocaleString("en")}
          tone={failed > 0 ? "critical" : "neutral"}
        />
        <Stat label={over ? t("count.untouched") : t("count.left")} value={left.toLocaleString("en")} />
      </StatGroup>
    </div>
  );
}
