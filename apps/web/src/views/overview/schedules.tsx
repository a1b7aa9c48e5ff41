"use client";

// What runs by itself: when it ran last, with what result, and when it runs next.
import type { ScheduleState } from "@drawdown/db";
import { useTranslations } from "use-intl";
import { PartComing } from "@/console/part.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Card } from "@/ui/card.tsx";
import { JsonBlock } from "@/ui/code.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { Moment, useNow } from "@/ui/moment.tsx";
import { EmptyState } from "@/ui/states.tsx";
import type { KeptBooks } from "@/views/overview/parts.ts";

const KNOWN = ["cleanup", "monitoring", "prove", "reconcile", "retention", "verify-chain"] as const;
/** A beat comes each minute. */
const OVERDUE_MS = 180_000;

export function Schedules({ books: { value, fault } }: { books: KeptBooks }) {
  const t = useTranslations("overview");
  return (
    <section id="schedules" aria-label={t("schedules.title")} className="scroll-mt-16">
      <Card title={t("schedules.title")} note={t("schedules.note")}>
        {value === undefined ? (
          <PartComing fault={fault} lines={5} />
        ) : value.schedules.length === 0 ? (
          <EmptyState title={t("schedules.empty")}>{t("schedules.emptyHelp")}</EmptyState>
        ) : (
          <ul className="grid gap-3">
            {value.schedules.map((schedule) => (
              <li key={schedule.name} className="border-b border-line pb-3 last:border-b-0 last:pb-0">
                <Schedule schedule={schedule} />
              </li>
            ))}
          </ul>
        )}
      </Card>
    </section>
  );
}

function Schedule({ schedule: { name, running, lastRunAt, lastResult, nextRunAt } }: { schedule: ScheduleState }) {
  const t = useTranslations("overview");
  const now = useNow();
  const known = KNOWN.find((one) => one === name);
  const overdue = now.getTime() - nextRunAt.getTime() > OVERDUE_MS;
  return (
    <div className="grid gap-0.5">
      <div className="flex flex-wrap items-center gap-2">
        <h3 className="font-medium">{known ? t(`schedules.name.${known}`) : name}</h3>
        {running && <Badge tone="accent">{t("schedules.running")}</Badge>}
        <Outcome result={lastResult} />
      </div>
      <p className="text-xs text-quiet">
        {t("schedules.last")} {lastRunAt === null ? t("schedules.never") : <Moment at={lastRunAt} />}
        {" · "}
        {t("schedules.next")} <Moment at={nextRunAt} />
        {overdue && <span className="text-warning"> {t("schedules.overdue")}</span>}
      </p>
      {lastResult !== null && (
        <Disclosure label={t("schedules.result")}>
          <JsonBlock what={t("schedules.result")} value={lastResult} />
        </Disclosure>
      )}
    </div>
  );
}

function Outcome({ result }: { result: ScheduleState["lastResult"] }) {
  const t = useTranslations("overview");
  switch (result?.["outcome"]) {
    case "done":
      return <Badge tone="ok">{t("schedules.done")}</Badge>;
    case "failed":
      return <Badge tone="critical">{t("schedules.failed")}</Badge>;
    case "stopped":
      return <Badge tone="warning">{t("schedules.stopped")}</Badge>;
    default:
      return null;
  }
}
