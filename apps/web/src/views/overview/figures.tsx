"use client";

import Link from "next/link";
import { useTranslations } from "use-intl";
import { Amount } from "@/ui/amount.tsx";
import { bytesText } from "@/ui/bytes.ts";
import { Duration } from "@/ui/moment.tsx";
import { Stat } from "@/ui/stat.tsx";
import type { KeptBooks, KeptHolds, KeptStreams } from "@/views/overview/parts.ts";
import { LATE_MS, liveWorkers } from "@/views/overview/verdict.ts";

type Counted = { count: number; exact: boolean };

type FiguresProps = {
  streams: KeptStreams;
  books: KeptBooks;
  holds: KeptHolds;
  /** Null: not known. */
  chargesPerSecond: number | null;
};

/** What is not known says so; what a store told before it went away is marked as such. */
export function Figures({ streams, books, holds, chargesPerSecond }: FiguresProps) {
  const t = useTranslations("overview");
  return (
    // Twelve: whole rows at every width.
    <dl
      aria-label={t("figures")}
      className="grid grid-cols-2 gap-px overflow-hidden rounded-lg border border-line bg-line shadow-card md:grid-cols-3 lg:grid-cols-4 xl:grid-cols-6"
    >
      <Stat label={t("figure.charges")} value={chargesPerSecond ?? t("unknown")} note={t("figure.chargesNote")} />
      <StreamFigures streams={streams} settledPerSecond={books.value?.settledPerSecond} />
      <BookFigures books={books} />
      <Held holds={holds} />
      <Memory streams={streams} />
    </dl>
  );
}

function StreamFigures({ streams, settledPerSecond }: { streams: KeptStreams; settledPerSecond: number | undefined }) {
  const t = useTranslations("overview");
  const totals = streams.value?.totals;
  const oldest = totals?.oldestUnsettledMs;
  const backlog = totals?.unsettled;
  const workers = streams.value && liveWorkers(streams.value);
  const drain = backlog == null || !settledPerSecond ? undefined : (backlog / settledPerSecond) * 1_000;
  return (
    <>
      <Stat label={t("figure.settled")} value={settledPerSecond ?? t("unknown")} note={t("figure.settledNote")} />
      <Stat
        label={t("figure.lag")}
        value={
          totals === undefined ? t("unknown") : oldest == null ? t("figure.none") : <Duration milliseconds={oldest} />
        }
        note={t("figure.lagNote")}
        tone={(oldest ?? 0) > LATE_MS ? "warning" : undefined}
      />
      <Stat
        label={t("figure.backlog")}
        value={backlog ?? t("unknown")}
        note={
          totals && (
            <>
              {t("figure.backlogNote", { lag: totals.lag ?? t("unknown"), pending: totals.pending })}
              {drain !== undefined && backlog ? (
                <>
                  {" "}
                  {t("figure.drain")} <Duration milliseconds={drain} />
                </>
              ) : null}
            </>
          )
        }
      />
      <Stat
        label={t("figure.workers")}
        value={workers ?? t("unknown")}
        note={<Go href="/streams">{t("figure.workersNote")}</Go>}
        tone={workers === 0 ? "critical" : undefined}
      />
    </>
  );
}

function BookFigures({ books }: { books: KeptBooks }) {
  const t = useTranslations("overview");
  const figures = books.value?.figures;
  const tell = (counted: Counted | undefined) => (counted === undefined ? t("unknown") : <Counting {...counted} />);
  const letters = figures?.deadLetters.reduce<Counted>(
    (sum, { letters: some }) => ({ count: sum.count + some.count, exact: sum.exact && some.exact }),
    { count: 0, exact: true },
  );
  const alerts = figures?.openAlerts;
  return (
    <>
      <Stat
        label={t("figure.deadLetters")}
        value={tell(letters)}
        note={<Go href="/dead-letters">{t("figure.deadLettersNote")}</Go>}
        tone={letters?.count ? "warning" : undefined}
      />
      <Stat
        label={t("figure.alerts")}
        value={alerts === undefined ? t("unknown") : alerts.critical + alerts.warning}
        note={<Go href="/alerts">{t("figure.alertsNote", { critical: alerts?.critical ?? 0 })}</Go>}
        tone={alerts?.critical ? "critical" : alerts?.warning ? "warning" : undefined}
      />
      <Stat label={t("figure.refusals")} value={tell(figures?.refusals)} note={t("figure.refusalsNote")} />
      <Stat
        label={t("figure.uncaptured")}
        value={tell(figures?.uncaptured.holds)}
        note={<Amounts amounts={figures?.uncaptured.amounts ?? []} otherwise={t("figure.uncapturedNote")} />}
        tone={figures?.uncaptured.holds.count ? "warning" : undefined}
      />
      <Stat
        label={t("figure.operations")}
        value={tell(figures?.unfinishedOperations)}
        note={<Go href="/operations">{t("figure.operationsNote")}</Go>}
      />
    </>
  );
}

function Held({ holds: { value } }: { holds: KeptHolds }) {
  const t = useTranslations("overview");
  return (
    <Stat
      label={t("figure.holds")}
      value={value === undefined ? t("unknown") : <Counting count={value.holds} exact={value.exact} />}
      note={value && <Amounts amounts={value.held} otherwise={t("figure.holdsNote")} />}
    />
  );
}

function Memory({ streams: { value } }: { streams: KeptStreams }) {
  const t = useTranslations("overview");
  const { usedMemoryBytes: used = null, maxMemoryBytes: most = null, memoryShare: share = null } = value?.redis ?? {};
  const percent = share === null ? undefined : Math.floor(share * 100);
  return (
    <Stat
      label={t("figure.memory")}
      value={used === null ? t("unknown") : bytesText(used)}
      note={most === 0 ? t("figure.noLimit") : percent !== undefined && t("figure.memoryNote", { percent })}
      tone={(share ?? 0) > 0.8 ? "critical" : (share ?? 0) > 0.6 ? "warning" : undefined}
    />
  );
}

function Counting({ count, exact }: Counted) {
  const t = useTranslations("overview");
  return exact ? count : t("moreThan", { count });
}

/** Of each currency as a text of its own: amounts of different ones are never added. */
function Amounts({ amounts, otherwise }: { amounts: { currency: string; amount: string }[]; otherwise: string }) {
  if (amounts.length === 0) return otherwise;
  return amounts.map(({ currency, amount }) => (
    <span key={currency} className="block">
      <Amount value={amount} currency={currency} wrap />
    </span>
  ));
}

function Go({ href, children }: { href: string; children: string }) {
  return (
    <Link className="link" href={href} prefetch={false}>
      {children}
    </Link>
  );
}
