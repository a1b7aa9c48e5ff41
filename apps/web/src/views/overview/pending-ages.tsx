"use client";

import Link from "next/link";
import { useTranslations } from "use-intl";
import { PartComing } from "@/console/part.tsx";
import { Card } from "@/ui/card.tsx";
import type { KeptStreams } from "@/views/overview/parts.ts";

const AGES = ["seconds", "minute", "minutes", "older"] as const;

/** How long what was delivered and not acked has waited. */
export function PendingAges({ streams: { value, fault } }: { streams: KeptStreams }) {
  const t = useTranslations("overview");
  const link = (
    <Link className="link text-xs" href="/pending" prefetch={false}>
      {t("ages.all")}
    </Link>
  );
  if (value === undefined)
    return (
      <Card title={t("ages.title")} actions={link}>
        <PartComing fault={fault} />
      </Card>
    );
  const { counts, unread } = value.ages;
  const most = Math.max(1, ...counts);
  return (
    <Card title={t("ages.title")} note={t("ages.note", { count: value.totals.pending })} actions={link}>
      <dl className="grid grid-cols-[auto_1fr_auto] items-center gap-x-3 gap-y-1.5">
        {AGES.map((age, place) => (
          <div key={age} className="contents">
            <dt className="text-quiet">{t(`ages.${age}`)}</dt>
            <dd aria-hidden className="h-2 rounded-full bg-sunken">
              <div
                className={`h-2 rounded-full ${place > 1 ? "bg-warning" : "bg-accent"}`}
                style={{ width: `${((counts[place] ?? 0) / most) * 100}%` }}
              />
            </dd>
            <dd className="text-end font-semibold tabular-nums">{counts[place] ?? 0}</dd>
          </div>
        ))}
      </dl>
      {unread > 0 && <p className="mt-2 text-xs text-faint">{t("ages.unread", { count: unread })}</p>}
    </Card>
  );
}
