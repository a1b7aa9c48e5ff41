"use client";

import Link from "next/link";
import { useTranslations } from "use-intl";
import { PartComing } from "@/console/part.tsx";
import { Card } from "@/ui/card.tsx";
import { excerpt } from "@/ui/excerpt.ts";
import { Moment } from "@/ui/moment.tsx";
import { EmptyState } from "@/ui/states.tsx";
import { AlertLevel } from "@/views/alerts/alert-level.tsx";
import type { KeptBooks } from "@/views/overview/parts.ts";

/** The newest few that are open. */
export function NewestAlerts({ books: { value, fault } }: { books: KeptBooks }) {
  const t = useTranslations("overview");
  const all = (
    <Link className="link text-xs" href="/alerts" prefetch={false}>
      {t("alerts.all")}
    </Link>
  );
  return (
    <Card title={t("alerts.title")} actions={all}>
      {value === undefined ? (
        <PartComing fault={fault} lines={4} />
      ) : value.alerts.length === 0 ? (
        <EmptyState title={t("alerts.none")}>{t("alerts.noneHelp")}</EmptyState>
      ) : (
        <ul className="grid gap-2.5">
          {value.alerts.map(({ id, level, kind, message, openedAt }) => (
            <li key={id} className="grid gap-0.5 border-b border-line pb-2.5 last:border-b-0 last:pb-0">
              <div className="flex flex-wrap items-center gap-x-2">
                <AlertLevel level={level} />
                <Link className="link min-h-6 font-medium" href={`/alerts#alert-${id}`} prefetch={false}>
                  <bdi>{kind}</bdi>
                </Link>
                <span className="ms-auto text-xs text-faint">
                  <Moment at={openedAt} />
                </span>
              </div>
              <p className="line-clamp-2 text-quiet wrap-anywhere">
                <bdi>{excerpt(message)}</bdi>
              </p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
