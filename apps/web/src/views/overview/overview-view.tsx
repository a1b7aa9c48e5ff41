"use client";

// The first page: what is wrong first, then the figures. A store that goes away takes nothing from the page: what it told last stays, and
// the verdict names it.
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { PageTitle } from "@/console/page-title.tsx";
import { useKept } from "@/console/part.tsx";
import type { OverviewFrame } from "@/server/overview-router.ts";
import { useTRPC } from "@/trpc/client.ts";
import { useLive } from "@/trpc/live.ts";
import { LineIndicator } from "@/ui/line.tsx";
import { SkeletonLines, SkeletonTable } from "@/ui/states.tsx";
import { Figures } from "@/views/overview/figures.tsx";
import { NewestAlerts } from "@/views/overview/newest-alerts.tsx";
import { PaceCharts } from "@/views/overview/pace-charts.tsx";
import { PendingAges } from "@/views/overview/pending-ages.tsx";
import { Schedules } from "@/views/overview/schedules.tsx";
import { ShardMap } from "@/views/overview/shard-map.tsx";
import { DeductionTail } from "@/views/overview/tail.tsx";
import { useTail } from "@/views/overview/tail-rows.ts";
import { VerdictLine } from "@/views/overview/verdict-line.tsx";

export function OverviewView() {
  const t = useTranslations("overview");
  const trpc = useTRPC();
  const tail = useTail();
  const { last, line, error } = useLive(
    trpc.overview.live.subscriptionOptions(undefined, { onData: ({ data }) => tail.add(data.deductions) }),
  );
  return (
    <>
      <PageTitle note={t("note")} actions={<LineIndicator state={line} />}>
        {t("title")}
      </PageTitle>
      {line === "down" && <FaultNotice error={error} beside={last !== undefined} />}
      {last === undefined ? (
        line !== "down" && (
          <div className="grid gap-4">
            <SkeletonLines lines={2} />
            <SkeletonTable rows={6} columns={5} />
          </div>
        )
      ) : (
        <Shown frame={last.data} tail={tail} />
      )}
    </>
  );
}

function Shown({ frame, tail }: { frame: OverviewFrame; tail: ReturnType<typeof useTail> }) {
  const streams = useKept(frame.streams);
  const holds = useKept(frame.holds);
  const books = useKept(frame.books);
  return (
    <div className="grid grid-cols-1 gap-4">
      <VerdictLine frame={frame} />
      <Figures streams={streams} books={books} holds={holds} chargesPerSecond={frame.chargesPerSecond} />
      <div className="grid grid-cols-1 gap-4 xl:grid-cols-[3fr_2fr]">
        <ShardMap streams={streams} />
        <NewestAlerts books={books} />
      </div>
      <PaceCharts pace={frame.pace} />
      <div className="grid grid-cols-1 items-start gap-4 xl:grid-cols-[3fr_2fr]">
        <DeductionTail tail={tail} books={books} />
        <div className="grid grid-cols-1 gap-4">
          <PendingAges streams={streams} />
          <Schedules books={books} />
        </div>
      </div>
    </div>
  );
}
