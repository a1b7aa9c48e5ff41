import type { ProvenShard, ShardStats } from "@drawdown/billing";
import { ChevronDown, ChevronRight } from "lucide-react";
import type { useTranslations } from "use-intl";
import { Badge } from "@/ui/badge.tsx";
import { Button } from "@/ui/button.tsx";
import { bytesText } from "@/ui/bytes.ts";
import type { Column } from "@/ui/data-table.tsx";
import { Duration } from "@/ui/moment.tsx";

/** One shard as the page shows it; `proven` is undefined while the books are away. */
export type ShardRow = ShardStats & { proven: ProvenShard | undefined };

type Words = ReturnType<typeof useTranslations<"streams">>;

export function shardColumns(
  t: Words,
  opened: ReadonlySet<number>,
  toggle: (shard: number) => void,
): Column<ShardRow>[] {
  const known = (value: number | null | undefined) => value ?? <span className="text-warning">{t("unknown")}</span>;
  const age = (ms: number | null) => (ms === null ? t("nothing") : <Duration milliseconds={ms} />);
  return [
    {
      id: "shard",
      title: t("column.shard"),
      cell: ({ shard }) => {
        const isOpen = opened.has(shard);
        const Icon = isOpen ? ChevronDown : ChevronRight;
        return (
          <Button
            id={`shard-${shard}`}
            className="scroll-mt-20"
            size="small"
            look="ghost"
            aria-expanded={isOpen}
            icon={<Icon aria-hidden className="size-3.5" />}
            onClick={() => toggle(shard)}
          >
            {t("shard", { shard })}
          </Button>
        );
      },
    },
    { id: "length", title: t("column.length"), align: "end", cell: ({ length }) => length },
    { id: "lag", title: t("column.lag"), align: "end", cell: ({ lag }) => known(lag) },
    { id: "pending", title: t("column.pending"), align: "end", cell: ({ pending }) => pending },
    { id: "unacked", title: t("column.unacked"), align: "end", cell: ({ oldestPendingMs }) => age(oldestPendingMs) },
    {
      id: "unsettled",
      title: t("column.unsettled"),
      align: "end",
      cell: ({ oldestUnsettledMs }) => age(oldestUnsettledMs),
    },
    {
      id: "unaccounted",
      title: t("column.unaccounted"),
      align: "end",
      cell: ({ proven }) => known(proven?.unaccounted),
    },
    {
      id: "memory",
      title: t("column.memory"),
      align: "end",
      cell: ({ memoryBytes }) => (memoryBytes === null ? t("unknown") : bytesText(memoryBytes)),
    },
    { id: "consumers", title: t("column.consumers"), cell: ({ consumers }) => <Alive consumers={consumers} t={t} /> },
  ];
}

function Alive({ consumers, t }: { consumers: ShardRow["consumers"]; t: Words }) {
  const live = consumers.filter((one) => one.live).length;
  const dead = consumers.length - live;
  return (
    <span className="inline-flex flex-wrap gap-1">
      <Badge tone={live > 0 ? "ok" : "warning"}>{t("live", { count: live })}</Badge>
      {dead > 0 && <Badge tone="neutral">{t("dead", { count: dead })}</Badge>}
    </span>
  );
}
