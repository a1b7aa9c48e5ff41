"use client";

// One pending entry: who holds it, and its fields as they stand in the stream.
import { keepPreviousData, skipToken, useQuery } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { accountHref, traceHref } from "@/console/navigation.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { RawEntry } from "@/console/raw-entry.tsx";
import type { PendingRow } from "@/server/pending-router.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Button } from "@/ui/button.tsx";
import { Sheet } from "@/ui/dialog.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Duration, Moment } from "@/ui/moment.tsx";
import { EmptyState, SkeletonLines } from "@/ui/states.tsx";
import { Holder } from "@/views/pending/pending-columns.tsx";

type Props = {
  /** Null: closed. */
  name: string | null;
  onClose: () => void;
  onReprocess: (name: string) => void;
};

export function PendingSheet({ name, onClose, onReprocess }: Props) {
  const t = useTranslations("pending");
  const trpc = useTRPC();
  const reason = useReasonAgainst("support");
  const one = useQuery({
    ...trpc.pending.one.queryOptions(name === null ? skipToken : { name }),
    // What was shown stays while the sheet goes.
    ...(name === null ? { placeholderData: keepPreviousData } : {}),
  });
  const row = one.data;
  const footer = row && (
    <Button
      look="primary"
      reason={reason ?? (row.live ? t("heldByLive") : undefined)}
      onClick={() => onReprocess(row.name)}
    >
      {t("reprocess")}
    </Button>
  );
  return (
    <Sheet
      open={name !== null}
      onOpenChange={(open) => !open && onClose()}
      title={<bdi className="font-mono break-all">{row?.name ?? name}</bdi>}
      footer={footer}
    >
      {one.error !== null && <FaultNotice error={one.error} beside={row !== undefined} />}
      {row === undefined && one.error === null && <SkeletonLines lines={8} />}
      {row === null && <EmptyState title={t("gone")}>{t("goneHelp")}</EmptyState>}
      {row && (
        <div className="grid gap-5">
          <Facts row={row} />
          <RawEntry fields={row.rawFields} />
        </div>
      )}
    </Sheet>
  );
}

function Facts({ row }: { row: PendingRow }) {
  const t = useTranslations("pending");
  const { deductionId, accountId, cost, unreadable } = row;
  return (
    <KeyValues
      items={[
        { label: t("column.consumer"), value: <Holder row={row} t={t} /> },
        { label: t("column.idle"), value: <Duration milliseconds={row.idleMs} /> },
        { label: t("column.deliveries"), value: String(row.deliveries) },
        { label: t("column.appended"), value: <Moment at={row.appendedAt} both /> },
        {
          label: t("column.deduction"),
          value: deductionId === null ? t("unknown") : <Identifier id={deductionId} href={traceHref(deductionId)} />,
        },
        {
          label: t("column.account"),
          value: accountId === null ? t("unknown") : <Identifier id={accountId} href={accountHref(accountId)} />,
        },
        { label: t("column.cost"), value: cost === null ? t("unknown") : <Amount value={cost} wrap /> },
        { label: t("seq"), value: row.accountSeq ?? t("unknown") },
        ...(unreadable === null
          ? []
          : [{ label: unreadable.errorClass, value: <bdi className="text-critical">{unreadable.message}</bdi> }]),
      ]}
    />
  );
}
