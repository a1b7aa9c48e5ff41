"use client";

// One shard: its ids, who reads it, and what is acked in it and not in the books.
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { traceHref } from "@/console/navigation.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Button } from "@/ui/button.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Duration, Moment } from "@/ui/moment.tsx";
import { SkeletonLines } from "@/ui/states.tsx";
import type { ShardRow } from "@/views/streams/shard-columns.tsx";

type ShardDetailProps = { row: ShardRow; onClean: () => void; onReprocess: () => void };

export function ShardDetail({ row, onClean, onReprocess }: ShardDetailProps) {
  const t = useTranslations("streams");
  const notAdmin = useReasonAgainst("admin");
  const { shard, firstId, lastId, lastDeliveredId, entriesAdded, proven } = row;
  return (
    <section aria-label={t("shard", { shard })} className="grid gap-4 px-2 py-2 lg:grid-cols-2">
      <div className="grid content-start gap-3">
        <KeyValues
          items={[
            { label: t("id.key"), value: <Identifier id={`stream:deductions:${shard}`} what={t("id.key")} /> },
            { label: t("id.first"), value: <EntryId id={firstId} /> },
            { label: t("id.last"), value: <EntryId id={lastId} /> },
            { label: t("id.delivered"), value: <EntryId id={lastDeliveredId} /> },
            { label: t("id.proven"), value: <EntryId id={proven?.mark ?? null} />, note: t("id.provenNote") },
            { label: t("id.added"), value: entriesAdded ?? t("unknown") },
          ]}
        />
        <div className="flex flex-wrap gap-2">
          <Button size="small" reason={notAdmin} onClick={onClean}>
            {t("cleanup.openOne")}
          </Button>
          <Link
            className="link inline-flex min-h-7 items-center text-sm"
            href={`/pending?shard=${shard}`}
            prefetch={false}
          >
            {t("pendingOf")}
          </Link>
        </div>
      </div>
      <div className="grid min-w-0 content-start gap-3">
        <Consumers consumers={row.consumers} />
        {proven !== undefined && proven.unaccounted > 0 && (
          <Unaccounted shard={shard} count={proven.unaccounted} onReprocess={onReprocess} />
        )}
      </div>
    </section>
  );
}

function EntryId({ id }: { id: string | null }) {
  const t = useTranslations("streams");
  const ms = Number(id?.split("-")[0] ?? 0);
  if (id === null || ms === 0) return t("none");
  return (
    <span className="flex flex-wrap items-center gap-x-3">
      <Identifier id={id} what={t("id.entry")} />
      <span className="text-xs text-faint">
        <Moment at={new Date(ms)} precision="milliseconds" />
      </span>
    </span>
  );
}

function Consumers({ consumers }: { consumers: ShardRow["consumers"] }) {
  const t = useTranslations("streams");
  return (
    <div className="grid gap-1">
      <h3 className="font-semibold">{t("consumers.title")}</h3>
      {consumers.length === 0 ? (
        <p className="text-quiet">{t("consumers.none")}</p>
      ) : (
        <ul className="grid gap-1.5">
          {consumers.map(({ name, pending, idleMs, inactiveMs, live, act }) => (
            <li key={name} className="grid gap-x-3 rounded-md border border-line px-2.5 py-1.5">
              <span className="flex flex-wrap items-center gap-2">
                <Badge tone={live ? "ok" : "warning"}>{live ? t("consumers.live") : t("consumers.dead")}</Badge>
                {act && <Badge tone="accent">{t("consumers.act")}</Badge>}
                <Identifier id={name} what={t("consumers.name")} />
              </span>
              <span className="text-xs text-quiet">
                {t("consumers.pending", { count: pending })} · {t("consumers.idle")} <Duration milliseconds={idleMs} />
                {" · "}
                {t("consumers.inactive")} {inactiveMs === null ? t("unknown") : <Duration milliseconds={inactiveMs} />}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Unaccounted({ shard, count, onReprocess }: { shard: number; count: number; onReprocess: () => void }) {
  const t = useTranslations("streams");
  const trpc = useTRPC();
  const notSupport = useReasonAgainst("support");
  // Read again whenever the live count says that there are others.
  const { data, error, refetch } = useQuery(trpc.streams.unaccounted.queryOptions({ shard }, { staleTime: 0 }));
  const stale = data !== undefined && !data.more && data.entries.length !== count;
  return (
    <div className="grid gap-1.5">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <h3 className="font-semibold">{t("unaccounted.title", { count })}</h3>
        <Button size="small" reason={notSupport} onClick={onReprocess}>
          {t("reprocess.one")}
        </Button>
      </div>
      <p className="text-xs text-quiet">{t("unaccounted.note")}</p>
      {error && <FaultNotice error={error} beside={data !== undefined} />}
      {data === undefined ? (
        !error && <SkeletonLines lines={2} />
      ) : (
        <ul className="grid max-h-80 gap-1.5 overflow-y-auto">
          {data.entries.map(({ name, deductionId, accountId, cost, halfSettled, entryId }) => (
            <li key={name} className="flex flex-wrap items-center gap-x-3 border-b border-line pb-1.5 last:border-b-0">
              <Identifier id={name} href={traceHref(deductionId ?? entryId)} what={t("id.entry")} />
              {halfSettled && <Badge tone="warning">{t("unaccounted.half")}</Badge>}
              {cost !== null && <Amount value={cost} />}
              {accountId !== null && (
                <Link
                  className="link text-xs break-all"
                  href={`/accounts/${encodeURIComponent(accountId)}`}
                  prefetch={false}
                >
                  <bdi>{accountId}</bdi>
                </Link>
              )}
            </li>
          ))}
        </ul>
      )}
      {data?.more && <p className="text-xs text-faint">{t("unaccounted.more", { count: data.entries.length })}</p>}
      {stale && (
        <Button size="small" look="ghost" onClick={() => void refetch()}>
          {t("unaccounted.again")}
        </Button>
      )}
    </div>
  );
}
