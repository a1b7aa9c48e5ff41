"use client";

// Requests that were refused, each with the very numbers that refused it.
import type { RefusalRow } from "@drawdown/db";
import { useQuery } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { negated, plus } from "@/console/decimals.ts";
import { ExpandButton, type Expanded, useExpanded } from "@/console/expanded.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { JsonBlock } from "@/ui/code.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";
import { ShortList } from "@/views/account/short-list.tsx";

export function AccountRefusals({ accountId }: { accountId: string }) {
  const t = useTranslations("accounts.refusal");
  const trpc = useTRPC();
  const asked = useQuery(trpc.account.refusals.queryOptions({ accountId }));
  const expanded = useExpanded();
  const below = (row: RefusalRow) => (expanded.has(row.id) ? <Figures row={row} /> : null);
  return (
    <ShortList
      asked={asked}
      label={t("title")}
      columns={refusalColumns(t, expanded)}
      rowId={({ id }) => id}
      empty={{ title: t("empty"), help: t("emptyHelp") }}
      below={below}
    />
  );
}

/** What could have been spent when it was refused: of the account, or of the key's own limit. */
function leftOf(row: RefusalRow): string {
  if (row.code === "spend_limit" && row.spendLimit !== null)
    return plus(row.spendLimit, negated(plus(row.spent ?? "0", row.reserved ?? "0")));
  return plus(plus(row.balance, row.creditLimit), negated(row.held));
}

function Figures({ row }: { row: RefusalRow }) {
  const t = useTranslations("accounts.refusal");
  const amount = (value: string | null) =>
    value === null ? t("none") : <Amount value={value} currency={row.currency} wrap />;
  return (
    <div className="grid grid-cols-1 gap-4 py-2 lg:grid-cols-2">
      <KeyValues
        items={[
          { label: t("required"), value: amount(row.required) },
          { label: t("balance"), value: amount(row.balance) },
          { label: t("held"), value: amount(row.held) },
          { label: t("limit"), value: amount(row.creditLimit) },
          ...(row.spendLimit === null
            ? []
            : [
                { label: t("spendLimit"), value: amount(row.spendLimit), note: row.spendPeriod ?? undefined },
                { label: t("spent"), value: amount(row.spent) },
                { label: t("reserved"), value: amount(row.reserved) },
              ]),
          { label: t("had"), value: amount(leftOf(row)) },
          { label: t("key"), value: <Identifier id={row.virtualKey} what={t("key")} /> },
        ]}
      />
      <div className="grid grid-cols-1 content-start gap-2">
        {row.estimate !== null && <JsonBlock what={t("estimate")} value={row.estimate} />}
        {row.price !== null && <JsonBlock what={t("price")} value={row.price} />}
      </div>
    </div>
  );
}

function refusalColumns(
  t: ReturnType<typeof useTranslations<"accounts.refusal">>,
  expanded: Expanded,
): Column<RefusalRow>[] {
  return [
    { id: "at", title: t("at"), cell: ({ createdAt }) => <Moment at={createdAt} /> },
    { id: "code", title: t("code"), cell: ({ code }) => <Badge tone="warning">{t(`codes.${code}`)}</Badge> },
    {
      id: "model",
      title: t("model"),
      cell: ({ provider, model }) => (model === null ? t("none") : <bdi>{`${provider ?? ""}/${model}`}</bdi>),
    },
    {
      id: "required",
      title: t("required"),
      align: "end",
      cell: ({ required, currency }) => <Amount value={required} currency={currency} />,
    },
    { id: "had", title: t("had"), align: "end", cell: (row) => <Amount value={leftOf(row)} /> },
    {
      id: "request",
      title: t("request"),
      cell: ({ requestId }) => (
        <Identifier id={requestId} what={t("request")} href={`/trace/${encodeURIComponent(requestId)}`} />
      ),
    },
    {
      id: "why",
      title: t("why"),
      align: "end",
      cell: ({ id, requestId }) => <ExpandButton expanded={expanded} id={id} label={t("whyOf", { id: requestId })} />,
    },
  ];
}
