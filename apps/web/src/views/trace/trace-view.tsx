"use client";

// One deduction from any id: its way hop by hop with the money moving through it, and beside it all that both stores have of it.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { PageTitle } from "@/console/page-title.tsx";
import { ReplayDialog } from "@/console/replay-dialog.tsx";
import { WhyCost } from "@/console/why-cost.tsx";
import type { ReplayChoice } from "@/server/replays-router.ts";
import type { Traced } from "@/server/trace-router.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Badge } from "@/ui/badge.tsx";
import { Card } from "@/ui/card.tsx";
import { CopyButton } from "@/ui/copy.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { jsonText } from "@/ui/json-text.ts";
import { SkeletonLines } from "@/ui/states.tsx";
import { TraceExports } from "@/views/trace/trace-exports.tsx";
import { TraceFacts } from "@/views/trace/trace-facts.tsx";
import { TraceHops } from "@/views/trace/trace-hops.tsx";
import { TraceRecords } from "@/views/trace/trace-records.tsx";
import { TraceRelated } from "@/views/trace/trace-related.tsx";
import { TraceSearch } from "@/views/trace/trace-search.tsx";
import { refreshOf, storyOf, tones } from "@/views/trace/trace-story.ts";

const AGAIN_MS = 3_000;

export function TraceView({ id }: { id: string }) {
  const t = useTranslations("trace");
  const trpc = useTRPC();
  const [replay, setReplay] = useState<ReplayChoice | null>(null);
  const found = useQuery({
    ...trpc.trace.of.queryOptions({ id }),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => (state.status === "error" ? AGAIN_MS : refreshOf(state.data)),
  });
  const traced = found.data;
  return (
    <>
      <PageTitle
        above={
          <Link className="link" href="/trace">
            {t("another")}
          </Link>
        }
        note={<Identifier id={id} what={t("id")} />}
        actions={
          traced && <CopyButton text={jsonText(traced)} label={t("copyJson")} what={t("asJson")} look="secondary" />
        }
      >
        {t("title")}
      </PageTitle>
      {found.error !== null && <FaultNotice error={found.error} beside={traced !== undefined} />}
      {traced === undefined && found.error === null && <SkeletonLines lines={10} />}
      {traced && <Found traced={traced} onReplay={setReplay} />}
      <ReplayDialog
        choice={replay}
        onClose={() => setReplay(null)}
        verb={traced?.state === "pending" ? "reprocess" : "replay"}
      />
    </>
  );
}

function Found({ traced, onReplay }: { traced: Traced; onReplay: (choice: ReplayChoice) => void }) {
  const t = useTranslations("trace");
  const story = storyOf(traced);
  const { why, hops, usageLog } = traced;
  const currency = usageLog?.["currency"];
  return (
    <div className="grid gap-4">
      <output className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
        <Badge tone={tones[story]}>{t(`state.${story}`)}</Badge>
        <span className="max-w-prose text-quiet">{t(`stateHelp.${story}`)}</span>
      </output>
      {traced.state === "unknown" && <TraceSearch />}
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,5fr)_minmax(0,4fr)]">
        <div className="grid gap-4">
          {hops.length > 0 && (
            <Card title={t("way")}>
              <TraceHops traced={traced} onReplay={onReplay} />
            </Card>
          )}
          <TraceExports traced={traced} />
          {why !== null && (
            <Card>
              <WhyCost why={why} currency={typeof currency === "string" ? currency : "USD"} />
            </Card>
          )}
          <TraceRelated traced={traced} />
        </div>
        <div className="grid gap-4">
          {traced.accountId !== null && <TraceFacts traced={traced} />}
          <TraceRecords traced={traced} />
        </div>
      </div>
    </div>
  );
}
