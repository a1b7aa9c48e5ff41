"use client";

import type { Operation } from "@drawdown/billing";
import type { KeyListRow, UncapturedRow } from "@drawdown/db";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { useTranslations } from "use-intl";
import { KeySpend } from "@/console/key-spend.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { ButtonLink } from "@/ui/button.tsx";
import type { Column } from "@/ui/data-table.tsx";
// What belongs to an account: its keys, what was served and not captured, and what operators did to it.
import { excerpt } from "@/ui/excerpt.ts";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";
import { ShortList } from "@/views/account/short-list.tsx";

type Props = { accountId: string };

const KEY_TONES = { active: "ok", expired: "warning", revoked: "neutral" } as const;

export function AccountKeys({ accountId }: Props) {
  const t = useTranslations("accounts.keys");
  const trpc = useTRPC();
  const asked = useQuery(trpc.account.keys.queryOptions({ accountId }));
  return (
    <div className="grid grid-cols-1 gap-3">
      <ShortList
        asked={{ data: asked.data?.rows, error: asked.error }}
        label={t("title")}
        columns={keyColumns(t)}
        rowId={({ virtualKey }) => virtualKey}
        empty={{ title: t("empty"), help: t("emptyHelp") }}
      />
      <div className="flex flex-wrap items-center gap-3">
        <ButtonLink href={`/settings/keys?account=${accountId}`} prefetch={false}>
          {t("manage")}
        </ButtonLink>
        {asked.data?.next != null && <span className="text-sm text-quiet">{t("more")}</span>}
      </div>
    </div>
  );
}

export function AccountUncaptured({ accountId, currency }: Props & { currency: string }) {
  const t = useTranslations("accounts.uncaptured");
  const trpc = useTRPC();
  const asked = useQuery(trpc.account.uncaptured.queryOptions({ accountId }));
  return (
    <ShortList
      asked={{ data: asked.data?.rows, error: asked.error }}
      label={t("title")}
      columns={uncapturedColumns(t, currency)}
      rowId={({ holdId }) => holdId}
      empty={{ title: t("empty"), help: t("emptyHelp") }}
    />
  );
}

export function AccountOperations({ accountId }: Props) {
  const t = useTranslations("accounts.operations");
  const trpc = useTRPC();
  const asked = useQuery(trpc.account.operations.queryOptions({ accountId }));
  return (
    <ShortList
      asked={asked}
      label={t("title")}
      columns={operationColumns(t)}
      rowId={({ id }) => id}
      empty={{ title: t("empty"), help: t("emptyHelp") }}
    />
  );
}

function keyColumns(t: ReturnType<typeof useTranslations<"accounts.keys">>): Column<KeyListRow>[] {
  return [
    {
      id: "key",
      title: t("key"),
      cell: ({ virtualKey, name }) => (
        <span className="grid">
          <Identifier id={virtualKey} what={t("key")} />
          {name !== null && <bdi className="line-clamp-2 text-xs text-quiet">{excerpt(name)}</bdi>}
        </span>
      ),
    },
    { id: "user", title: t("user"), cell: ({ userName, userId }) => <bdi>{excerpt(userName ?? userId)}</bdi> },
    {
      id: "status",
      title: t("status"),
      cell: ({ status }) => <Badge tone={KEY_TONES[status]}>{t(`statuses.${status}`)}</Badge>,
    },
    {
      id: "spend",
      title: t("spendLimit"),
      align: "end",
      cell: (key) => <KeySpend apiKey={key} />,
    },
    { id: "rate", title: t("rate"), align: "end", cell: ({ requestsPerMinute }) => requestsPerMinute ?? t("none") },
    {
      id: "models",
      title: t("models"),
      cell: ({ allowedModels }) =>
        allowedModels === null ? t("allModels") : <bdi className="line-clamp-3">{allowedModels.join(", ")}</bdi>,
    },
    {
      id: "expires",
      title: t("expires"),
      cell: ({ expiresAt }) => (expiresAt === null ? t("never") : <Moment at={expiresAt} />),
    },
    {
      id: "deductions",
      title: t("deductions"),
      cell: ({ virtualKey }) => (
        <Link className="link" href={`/deductions?key=${encodeURIComponent(virtualKey)}`} prefetch={false}>
          {t("show")}
        </Link>
      ),
    },
  ];
}

function uncapturedColumns(
  t: ReturnType<typeof useTranslations<"accounts.uncaptured">>,
  currency: string,
): Column<UncapturedRow>[] {
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
    { id: "model", title: t("model"), cell: ({ provider, model }) => <bdi>{`${provider}/${model}`}</bdi> },
    { id: "key", title: t("key"), cell: ({ virtualKey }) => <Identifier id={virtualKey} what={t("key")} /> },
    { id: "opened", title: t("opened"), cell: ({ openedAt }) => <Moment at={openedAt} /> },
    { id: "expired", title: t("expired"), cell: ({ expiredAt }) => <Moment at={expiredAt} /> },
  ];
}

function operationColumns(t: ReturnType<typeof useTranslations<"accounts.operations">>): Column<Operation>[] {
  return [
    { id: "at", title: t("at"), cell: ({ startedAt }) => <Moment at={startedAt} /> },
    {
      id: "action",
      title: t("action"),
      cell: ({ id, action }) => (
        <Link className="link" href={`/operations/${id}`} prefetch={false}>
          {t.has(`actions.${action as "credit"}`) ? t(`actions.${action as "credit"}`) : action}
        </Link>
      ),
    },
    { id: "actor", title: t("actor"), cell: ({ actor }) => <bdi>{actor}</bdi> },
    {
      id: "reason",
      title: t("reason"),
      grow: true,
      cell: ({ reason }) => <bdi className="line-clamp-3">{reason}</bdi>,
    },
    { id: "state", title: t("state"), cell: ({ finishedAt }) => (finishedAt === null ? t("unfinished") : t("done")) },
  ];
}
