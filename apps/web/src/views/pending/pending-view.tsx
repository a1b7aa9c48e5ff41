"use client";

// What was delivered and not acked: who holds it, since when, and taking it over from a holder that is dead.
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { useListSelection } from "@/console/list-selection.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { ReplayDialog } from "@/console/replay-dialog.tsx";
import type { PendingRow } from "@/server/pending-router.ts";
import type { ReplayChoice } from "@/server/replays-router.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Button } from "@/ui/button.tsx";
import { pendingColumns } from "@/views/pending/pending-columns.tsx";
import { PendingSheet } from "@/views/pending/pending-sheet.tsx";

const KEYS = ["id", "shard", "consumer", "older"] as const;
type Key = (typeof KEYS)[number];

export function PendingView() {
  const t = useTranslations("pending");
  const trpc = useTRPC();
  const reason = useReasonAgainst("support");
  const address = useListAddress(KEYS);
  const { filters } = address;
  const list = useList(trpc.pending, { filters }, address.page);
  const selection = useListSelection(filters);
  const [shown, setShown] = useState<string | null>(null);
  const [replay, setReplay] = useState<ReplayChoice | null>(null);
  const columns = useMemo(() => pendingColumns(t, setShown), [t]);
  const reprocess = () =>
    setReplay(
      selection.kind === "all"
        ? { kind: "pending", filters, pin: list.query.data?.pin ?? "" }
        : { kind: "named", ids: [...selection.ids] },
    );
  return (
    <>
      <List<PendingRow, Key>
        name="pending"
        label={t("title")}
        columns={columns}
        filters={filterSpecs(t)}
        address={address}
        {...list}
        rowId={({ name }) => name}
        rowName={({ deductionId, name }) => deductionId ?? name}
        rowTone={({ live, unreadable }) => (unreadable === null ? (live ? undefined : "warning") : "critical")}
        selection={selection}
        ordered={false}
        actions={
          <Button size="small" look="primary" reason={reason} onClick={reprocess}>
            {t("reprocess")}
          </Button>
        }
        empty={{ title: t("empty.title"), help: t("empty.help") }}
      />
      <PendingSheet
        name={shown}
        onClose={() => setShown(null)}
        onReprocess={(name) => setReplay({ kind: "named", ids: [name] })}
      />
      <ReplayDialog choice={replay} onClose={() => setReplay(null)} verb="reprocess" />
    </>
  );
}

function filterSpecs(t: ReturnType<typeof useTranslations<"pending">>): FilterSpec<Key>[] {
  return KEYS.map((key) => ({ key, label: t(`filter.${key}`), kind: "text" }));
}
