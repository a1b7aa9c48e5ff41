"use client";

import type { AlertListRow } from "@drawdown/db";
import { clsx } from "clsx";
import Link from "next/link";
import { useTranslations } from "use-intl";
import { Badge } from "@/ui/badge.tsx";
import { JsonBlock } from "@/ui/code.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { Duration, Moment } from "@/ui/moment.tsx";
import { adviceOf } from "@/views/alerts/advice.ts";
import { aboutOf } from "@/views/alerts/alert-about.ts";
import { AlertLevel } from "@/views/alerts/alert-level.tsx";

/** One alert that is open, with where to look and what to do. */
export function AlertCard({ alert }: { alert: AlertListRow }) {
  const t = useTranslations("alerts");
  const { id, level, kind, key, message, details, openedAt } = alert;
  return (
    <article
      id={`alert-${id}`}
      aria-label={kind}
      className={clsx(
        "grid scroll-mt-16 gap-2 rounded-lg border border-s-4 border-line bg-surface px-4 py-3 shadow-card target:bg-accent-soft",
        level === "critical" ? "border-s-critical" : "border-s-warning",
      )}
    >
      <div className="flex flex-wrap items-center gap-x-2 gap-y-1">
        <AlertLevel level={level} />
        <h3 className="min-w-0 font-semibold wrap-anywhere">
          <bdi>{kind}</bdi>
        </h3>
        {key !== "" && (
          <Badge>
            <bdi className="min-w-0 wrap-anywhere">{key}</bdi>
          </Badge>
        )}
        <span className="ms-auto text-xs text-quiet">
          {t("opened")} <Moment at={openedAt} />
          {" · "}
          {t("since")} <Duration from={openedAt} />
        </span>
      </div>
      <p className="line-clamp-6 wrap-anywhere">
        <bdi>{message}</bdi>
      </p>
      <AlertLinks alert={alert} />
      <AlertAdvice alert={alert} />
      <Disclosure label={t("details")}>
        <JsonBlock what={t("details")} value={{ key, message, ...details }} />
      </Disclosure>
    </article>
  );
}

type Of = { alert: Pick<AlertListRow, "kind" | "key" | "details"> };

/** The account, shards and page that it is about. */
export function AlertLinks({ alert }: Of) {
  const t = useTranslations("alerts");
  const about = aboutOf(alert);
  if (about.length === 0) return null;
  return (
    <ul aria-label={t("about")} className="flex flex-wrap gap-x-4 gap-y-1">
      {about.map((one) => (
        <li key={one.href + one.kind}>
          <Link className="link inline-flex min-h-6 items-center break-all" href={one.href} prefetch={false}>
            {one.kind === "account"
              ? t("account", { id: one.id })
              : one.kind === "shard"
                ? t("shard", { shard: one.shard })
                : t(`page.${one.page}`)}
          </Link>
        </li>
      ))}
    </ul>
  );
}

function AlertAdvice({ alert }: Of) {
  const t = useTranslations("alerts");
  const advice = adviceOf(alert);
  if (advice === undefined) return <p className="text-quiet">{t("noAdvice")}</p>;
  return (
    <dl className="grid gap-x-3 gap-y-1 rounded-md bg-sunken px-3 py-2 sm:grid-cols-[auto_1fr]">
      <dt className="font-medium">{t("look")}</dt>
      <dd className="wrap-anywhere">{t(`advice.${advice}.look`)}</dd>
      <dt className="font-medium">{t("do")}</dt>
      <dd className="wrap-anywhere">{t(`advice.${advice}.do`)}</dd>
    </dl>
  );
}
