"use client";

// The real-time balance beside the settled one, and to the last digit what makes the difference. What is not known is said to be unknown.
import type { AccountStanding } from "@drawdown/billing";
import type { AccountHeader } from "@drawdown/db";
import Link from "next/link";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import { isZero, negated } from "@/console/decimals.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import type { Line } from "@/trpc/live.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Card } from "@/ui/card.tsx";
import { LineIndicator } from "@/ui/line.tsx";
import { Moment } from "@/ui/moment.tsx";
import { Stat, StatGroup } from "@/ui/stat.tsx";
import { SkeletonLines } from "@/ui/states.tsx";

type Props = { account: AccountHeader; standing: AccountStanding | undefined; line: Line; error: unknown };

export function Standing({ account, standing, line, error }: Props) {
  const t = useTranslations("accounts.standing");
  return (
    <section aria-label={t("title")} className="grid grid-cols-1 gap-3">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <h2 className="text-sm font-semibold">
          {t("title")} <span className="font-normal text-faint">{account.currency}</span>
        </h2>
        <LineIndicator state={line} />
        {standing && (
          <span className="text-xs text-faint">
            <Moment at={standing.at} />
          </span>
        )}
      </div>
      {error != null && <FaultNotice error={error} beside />}
      <Balances account={account} standing={standing} />
      {standing === undefined && error == null && (
        // As high as what comes, so that nothing below it moves.
        <Card title={t("why")}>
          <div className="min-h-66">
            <SkeletonLines lines={6} />
          </div>
        </Card>
      )}
      {standing?.difference && <Difference standing={standing} difference={standing.difference} />}
    </section>
  );
}

function Balances({ account, standing }: Pick<Props, "account" | "standing">) {
  const t = useTranslations("accounts.standing");
  const settled = standing?.settled ?? {
    balance: account.balance,
    overdue: account.overdueAmount,
    creditLimit: account.creditLimit,
    status: account.status,
    seq: null,
  };
  const now = standing?.realTime;
  const overdue = now?.overdue ?? settled.overdue;
  const why = standing === undefined ? t("waiting") : t("notLoaded");
  const known = (value: string | undefined) => (value === undefined ? t("unknown") : <Amount value={value} wrap />);
  return (
    <StatGroup label={t("title")}>
      <Stat
        label={t("realTime")}
        value={known(now?.balance)}
        note={now ? t("atSeq", { seq: now.seq }) : why}
        tone={now?.balance.startsWith("-") ? "critical" : "neutral"}
      />
      <Stat
        label={t("settled")}
        value={<Amount value={settled.balance} wrap />}
        note={settled.seq === null ? t("books") : t("booksAtSeq", { seq: settled.seq })}
      />
      <Stat label={t("available")} value={known(now?.available)} note={t("availableNote")} />
      <Stat
        label={t("held")}
        value={known(now?.held)}
        note={standing?.holds ? t("holds", { count: standing.holds.count }) : undefined}
      />
      <Stat
        label={t("overdue")}
        value={<Amount value={overdue} wrap />}
        note={t("overdueNote")}
        tone={isZero(overdue) ? "neutral" : "critical"}
      />
      <Stat
        label={t("limit")}
        value={<Amount value={settled.creditLimit} wrap />}
        note={now && now.creditLimit !== settled.creditLimit ? t("onItsWay") : t("limitNote")}
      />
    </StatGroup>
  );
}

type Difference = NonNullable<AccountStanding["difference"]>;

function Difference({ standing, difference }: { standing: AccountStanding; difference: Difference }) {
  const t = useTranslations("accounts.standing");
  const { inFlight, creditsNotApplied, settledSince, unexplained } = difference;
  const { realTime, settled, currency } = standing;
  const same = isZero(difference.amount);
  return (
    <Card title={t("why")} note={t(same ? "noDifference" : "whyNote")} flush>
      <table aria-label={t("why")} className="w-full text-sm">
        <tbody>
          <Line label={t("settled")} value={settled.balance} currency={currency} balance />
          <Line
            label={inFlight.count === null ? t("inFlightUncounted") : t("inFlight", { count: inFlight.count })}
            value={negated(inFlight.amount)}
            note={<Places standing={standing} difference={difference} />}
          />
          <Line
            label={t("notApplied", { count: creditsNotApplied.count })}
            value={negated(creditsNotApplied.amount)}
            note={creditsNotApplied.count > 0 ? t("notAppliedNote") : undefined}
          />
          {!isZero(settledSince) && <Line label={t("settledSince")} value={settledSince} />}
          {unexplained === null ? (
            <Line label={t("unexplained")} value={null} note={t("unexplainedUnknown")} />
          ) : isZero(unexplained) ? null : (
            <Line label={t("unexplained")} value={unexplained} note={t("unexplainedHelp")} critical />
          )}
          {realTime && <Line label={t("realTime")} value={realTime.balance} currency={currency} balance />}
          {realTime && (
            <>
              <Line label={t("limit")} value={realTime.creditLimit} />
              <Line label={t("heldBy", { count: standing.holds?.count ?? 0 })} value={negated(realTime.held)} />
              <Line label={t("available")} value={realTime.available} currency={currency} balance />
            </>
          )}
        </tbody>
      </table>
    </Card>
  );
}

type LineProps = {
  label: string;
  value: string | null;
  currency?: string;
  note?: ReactNode;
  balance?: boolean;
  critical?: boolean;
};

function Line({ label, value, currency, note, balance, critical }: LineProps) {
  const t = useTranslations("accounts.standing");
  return (
    <tr className={balance ? "border-t border-line bg-sunken font-semibold first:border-t-0" : "border-t border-line"}>
      <th scope="row" className={`px-4 py-1.5 text-left ${balance ? "font-semibold" : "font-normal"}`}>
        <span className={critical ? "text-critical" : undefined}>{label}</span>
        {note && <span className="block text-xs font-normal text-quiet">{note}</span>}
      </th>
      <td className="px-4 py-1.5 text-right align-top">
        {value === null ? (
          t("unknown")
        ) : (
          <Amount
            value={value}
            signed={balance !== true}
            currency={currency}
            wrap
            className={critical ? "text-critical" : undefined}
          />
        )}
      </td>
    </tr>
  );
}

/** Where what is in flight stands, each with the page that shows it. */
function Places({ standing, difference }: { standing: AccountStanding; difference: Difference }) {
  const t = useTranslations("accounts.standing");
  const { places } = difference.inFlight;
  if (places === null) return t("placesUnknown");
  const found = Object.entries(places);
  if (found.length === 0) return null;
  return (
    <span className="flex flex-wrap gap-1.5">
      {(Object.keys(places) as (keyof typeof places)[]).map((place) => {
        const { count = 0, amount = "0.000000000" } = places[place] ?? {};
        const href = linkOf(place, standing.accountId);
        const text = (
          <Badge tone={place === "unread" || place === "pending" ? "neutral" : "warning"}>
            {t(`place.${place}`, { count })} <Amount value={amount} />
          </Badge>
        );
        return href === undefined ? (
          <span key={place}>{text}</span>
        ) : (
          <Link key={place} href={href} prefetch={false} className="inline-flex min-h-6 items-center">
            {text}
          </Link>
        );
      })}
    </span>
  );
}

function linkOf(place: string, accountId: string): string | undefined {
  if (place === "dead_lettered") return `/dead-letters?account=${accountId}`;
  if (place === "pending") return "/pending";
  if (place === "half_settled") return `/deductions?account=${accountId}&settled=no`;
  return place === "unaccounted" ? "/streams" : undefined;
}
