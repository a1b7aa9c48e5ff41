"use client";

import type { AccountStanding, OpenHold } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { type Column, DataTable } from "@/ui/data-table.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";
import { EmptyState, SkeletonTable } from "@/ui/states.tsx";

/** What is set aside at this moment, live. */
export function OpenHolds({ standing }: { standing: AccountStanding | undefined }) {
  const t = useTranslations("accounts.hold");
  if (standing === undefined) return <SkeletonTable columns={5} />;
  const { holds, currency } = standing;
  if (holds === null) return <EmptyState title={t("unknown")}>{t("unknownHelp")}</EmptyState>;
  if (holds.count === 0) return <EmptyState title={t("empty")}>{t("emptyHelp")}</EmptyState>;
  return (
    <div className="grid grid-cols-1 gap-2">
      {holds.list.length < holds.count && (
        <p className="text-sm text-quiet">{t("first", { shown: holds.list.length, count: holds.count })}</p>
      )}
      <DataTable
        label={t("title")}
        columns={holdColumns(t, currency)}
        rows={holds.list}
        rowId={({ holdId }) => holdId}
        rowName={({ holdId }) => holdId}
      />
    </div>
  );
}

type Words = ReturnType<typeof useTranslations<"accounts.hold">>;

function holdColumns(t: Words, currency: string): Column<OpenHold>[] {
  return [
    {
      id: "hold",
      title: t("hold"),
      cell: ({ holdId }) => <Identifier id={holdId} what={t("hold")} href={`/trace/${encodeURIComponent(holdId)}`} />,
    },
    {
      id: "amount",
      title: t("amount"),
      align: "end",
      cell: ({ amount }) => <Amount value={amount} currency={currency} />,
    },
    {
      id: "model",
      title: t("model"),
      cell: ({ provider, model }) => (model === null ? t("none") : <bdi>{`${provider ?? ""}/${model}`}</bdi>),
    },
    { id: "key", title: t("key"), cell: ({ virtualKey }) => <Identifier id={virtualKey} what={t("key")} /> },
    {
      id: "opened",
      title: t("opened"),
      cell: ({ openedAt }) => (openedAt === null ? t("notKnown") : <Moment at={openedAt} />),
    },
    {
      id: "expires",
      title: t("expires"),
      cell: ({ expiresAt, expired }) => (
        <span className="inline-flex flex-wrap items-center gap-2">
          <Moment at={expiresAt} />
          {expired && <Badge tone="warning">{t("expired")}</Badge>}
        </span>
      ),
    },
  ];
}
