"use client";

// The balance over time and what was spent, by day, model and key, over a period that ends now; days begin at midnight in the operator's zone.
import type { Spend, SpendFigures } from "@drawdown/db";
import { useQuery } from "@tanstack/react-query";
import { parseAsStringLiteral, useQueryState } from "nuqs";
import { type ReactNode, useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { thousandths } from "@/console/decimals.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Card } from "@/ui/card.tsx";
import { Chart } from "@/ui/chart.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment, useZone } from "@/ui/moment.tsx";
import { Select } from "@/ui/select.tsx";
import { SkeletonLines } from "@/ui/states.tsx";
import { dayText, wallMoment } from "@/ui/time.ts";

const DAYS = ["1", "7", "30", "90", "365"] as const;
const DAY_MS = 86_400_000;
const SHOWN_GROUPS = 10;

type Period = { from: Date; to: Date; days: Date[] };

/** So many days of the zone, today the last one: the midnights at which they begin. */
function periodOf(count: number, zone: string, now: Date): Period {
  const noon = wallMoment(`${dayText(now, zone)}T12:00`, zone) ?? now;
  const days = Array.from({ length: count }, (_, place) => {
    const day = dayText(new Date(noon.getTime() - (count - 1 - place) * DAY_MS), zone);
    return wallMoment(`${day}T00:00`, zone) ?? now;
  });
  return { from: days[0] ?? now, to: now, days };
}

type Props = { accountId: string; currency: string };

export function Figures({ accountId, currency }: Props) {
  const t = useTranslations("accounts.figures");
  const trpc = useTRPC();
  const zone = useZone();
  const [days, setDays] = useQueryState("days", parseAsStringLiteral(DAYS).withDefault("7"));
  const [until, setUntil] = useState(() => new Date());
  const period = useMemo(() => periodOf(Number(days), zone, until), [days, zone, until]);
  const { from, to } = period;
  const balance = useQuery(trpc.account.balanceOverTime.queryOptions({ accountId, from, to }));
  const spend = useQuery(trpc.account.spend.queryOptions({ accountId, from, to, zone }));
  return (
    <section aria-label={t("title")} className="grid grid-cols-1 gap-3">
      <div className="flex flex-wrap items-end justify-between gap-3">
        <h2 className="text-sm font-semibold">{t("title")}</h2>
        <Select
          label={t("period")}
          hideLabel
          className="w-44"
          value={days}
          onChange={(value) => {
            setUntil(new Date());
            void setDays(value).catch(() => {});
          }}
          options={DAYS.map((value) => ({ value, label: t("days", { count: Number(value) }) }))}
        />
      </div>
      {(balance.error ?? spend.error) != null && (
        <FaultNotice error={balance.error ?? spend.error} beside={balance.data !== undefined} />
      )}
      <div className="grid grid-cols-1 gap-3 lg:grid-cols-2">
        <Card title={t("balance")} note={t("balanceNote")}>
          {balance.data === undefined ? (
            <SkeletonLines lines={6} />
          ) : (
            <Chart
              title={t("balance")}
              kind="steps"
              at={balance.data.map(({ at }) => at)}
              series={[{ label: t("balance"), values: balance.data.map((point) => point.balance) }]}
              unit={currency}
            />
          )}
        </Card>
        <Card title={t("byDay")} note={spend.data && <TotalNote spend={spend.data} currency={currency} />}>
          {spend.data === undefined ? (
            <SkeletonLines lines={6} />
          ) : (
            <Chart
              title={t("byDay")}
              kind="bars"
              at={period.days}
              series={[{ label: t("spent"), values: byDay(spend.data, period.days, zone) }]}
              unit={currency}
            />
          )}
        </Card>
      </div>
      {spend.data && <Groups spend={spend.data} currency={currency} />}
    </section>
  );
}

/** A day without deductions cost nothing; one before what could be added up is not known. */
function byDay(spend: SpendFigures, days: readonly Date[], zone: string): (string | null)[] {
  const costs = new Map(spend.byDay.map(({ day, cost }) => [day, cost]));
  return days.map((midnight) => {
    const cost = costs.get(dayText(midnight, zone));
    const known = spend.since === null || midnight >= spend.since;
    return cost ?? (known ? "0.000000000" : null);
  });
}

function TotalNote({ spend, currency }: { spend: SpendFigures; currency: string }) {
  const t = useTranslations("accounts.figures");
  return (
    <>
      <Amount value={spend.total.cost} currency={currency} /> · {t("deductions", { count: spend.total.deductions })}
      {spend.since !== null && (
        <>
          {" "}
          · {t("since")} <Moment at={spend.since} />
        </>
      )}
    </>
  );
}

function Groups({ spend, currency }: { spend: SpendFigures; currency: string }) {
  const t = useTranslations("accounts.figures");
  const { total } = spend;
  return (
    <div className="grid grid-cols-1 gap-3 lg:grid-cols-2">
      <GroupTable
        title={t("byModel")}
        what={t("model")}
        total={total}
        currency={currency}
        rows={spend.byModel.map((row) => ({
          ...row,
          key: `${row.provider}/${row.model}`,
          name: <bdi className="line-clamp-2">{`${row.provider}/${row.model}`}</bdi>,
        }))}
      />
      <GroupTable
        title={t("byKey")}
        what={t("key")}
        total={total}
        currency={currency}
        rows={spend.byKey.map((row) => ({
          ...row,
          key: row.virtualKey,
          name: <Identifier id={row.virtualKey} what={t("key")} />,
        }))}
      />
    </div>
  );
}

type Group = Spend & { key: string; name: ReactNode };
type TableProps = { title: string; what: string; rows: readonly Group[]; total: Spend; currency: string };

function GroupTable({ title, what, rows, total, currency }: TableProps) {
  const t = useTranslations("accounts.figures");
  const shown = rows.slice(0, SHOWN_GROUPS);
  return (
    <Card title={title} note={rows.length > shown.length ? t("first", { shown: shown.length }) : undefined} flush>
      {rows.length === 0 ? (
        <p className="px-4 py-6 text-center text-sm text-faint">{t("nothing")}</p>
      ) : (
        <table aria-label={title} className="w-full table-fixed text-xs tabular-nums">
          <thead className="text-left text-quiet">
            <tr>
              <th scope="col" className="px-4 py-1.5 font-medium">
                {what}
              </th>
              <th scope="col" className="w-24 px-2 py-1.5 text-right font-medium max-sm:hidden">
                {t("count")}
              </th>
              <th scope="col" className="w-44 px-4 py-1.5 text-right font-medium">
                {t("cost", { currency })}
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ key, name, cost, deductions }) => (
              <tr key={key} className="border-t border-line">
                <th scope="row" className="px-4 py-1.5 text-left font-normal wrap-anywhere">
                  {name}
                </th>
                <td className="px-2 py-1.5 text-right max-sm:hidden">{deductions}</td>
                <td className="px-4 py-1.5 text-right">
                  <Amount value={cost} wrap />
                  <span aria-hidden className="mt-0.5 block h-1 rounded-full bg-sunken">
                    <span
                      className="block h-1 rounded-full bg-series-1"
                      style={{ width: `${thousandths(cost, total.cost) / 10}%` }}
                    />
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Card>
  );
}
