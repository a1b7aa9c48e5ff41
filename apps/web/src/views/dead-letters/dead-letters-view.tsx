"use client";

// Dead letters: what could not be settled, why, and what was done about it.
import type { DeadLetterListRow } from "@drawdown/db";
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { type ListSelection, useListSelection } from "@/console/list-selection.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { ReplayDialog } from "@/console/replay-dialog.tsx";
import type { ReplayChoice } from "@/server/replays-router.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Button } from "@/ui/button.tsx";
import { letterColumns } from "@/views/dead-letters/letter-columns.tsx";
import { LetterSheet } from "@/views/dead-letters/letter-sheet.tsx";
import { type LetterMove, MoveDialog } from "@/views/dead-letters/move-dialog.tsx";

const KEYS = ["id", "state", "class", "account", "shard", "from", "to"] as const;
type Key = (typeof KEYS)[number];

const STATES = ["open", "discarded", "replayed"] as const;

/** The router checks them again; what an address says may be anything. */
type Asked = Omit<Partial<Record<Key, string>>, "state"> & { state?: (typeof STATES)[number] };

export function DeadLettersView() {
  const t = useTranslations("deadLetters");
  const address = useListAddress(KEYS);
  const filters = address.filters as Asked;
  const list = useList(useTRPC().deadLetters, { filters }, address.page);
  const selection = useListSelection(filters);
  const [shown, setShown] = useState<string | null>(null);
  const [replay, setReplay] = useState<ReplayChoice | null>(null);
  const [move, setMove] = useState<LetterMove | null>(null);
  const columns = useMemo(() => letterColumns(t, setShown), [t]);
  const pin = list.query.data?.pin ?? "";
  const acted = () => {
    selection.clear();
    void list.query.refetch();
  };
  return (
    <>
      <List<DeadLetterListRow, Key>
        name="dead-letters"
        label={t("title")}
        columns={columns}
        filters={filterSpecs(t)}
        address={address}
        {...list}
        rowId={({ id }) => id}
        rowName={({ id, deductionId }) => deductionId ?? t("letter", { id })}
        rowTone={({ state }) => (state === "open" ? "critical" : "muted")}
        selection={selection}
        actions={
          <Actions
            onReplay={() => setReplay(replayOf(selection, filters, pin))}
            onMove={(act) => setMove({ act, ...chosenOf(selection, filters, pin) })}
          />
        }
        empty={{ title: t("empty.title"), help: t("empty.help") }}
      />
      <LetterSheet
        id={shown}
        onClose={() => setShown(null)}
        onReplay={(id) => setReplay({ kind: "named", ids: [id] })}
        onMove={(act, id) => setMove({ act, ids: [id] })}
      />
      <ReplayDialog choice={replay} onClose={() => setReplay(null)} />
      <MoveDialog move={move} onClose={() => setMove(null)} onDone={acted} />
    </>
  );
}

function Actions({ onReplay, onMove }: { onReplay: () => void; onMove: (act: LetterMove["act"]) => void }) {
  const t = useTranslations("deadLetters");
  const reason = useReasonAgainst("support");
  return (
    <>
      <Button size="small" look="primary" reason={reason} onClick={onReplay}>
        {t("replay")}
      </Button>
      <Button size="small" reason={reason} onClick={() => onMove("discard")}>
        {t("discard.verb")}
      </Button>
      <Button size="small" reason={reason} onClick={() => onMove("restore")}>
        {t("restore.verb")}
      </Button>
    </>
  );
}

function chosenOf({ kind, ids }: ListSelection, filters: Asked, pin: string) {
  return kind === "all" ? { filters, pin } : { ids: [...ids] };
}

function replayOf({ kind, ids }: ListSelection, filters: Asked, pin: string): ReplayChoice {
  return kind === "all" ? { kind: "dead_letters", filters, pin } : { kind: "named", ids: [...ids] };
}

function filterSpecs(t: ReturnType<typeof useTranslations<"deadLetters">>): FilterSpec<Key>[] {
  return [
    { key: "id", label: t("filter.id"), kind: "text" },
    {
      key: "state",
      label: t("filter.state"),
      kind: "choice",
      options: STATES.map((value) => ({ value, label: t(`state.${value}`) })),
    },
    { key: "class", label: t("filter.class"), kind: "text" },
    { key: "account", label: t("filter.account"), kind: "text" },
    { key: "from", label: t("filter.from"), kind: "moment" },
    { key: "to", label: t("filter.to"), kind: "moment" },
    { key: "shard", label: t("filter.shard"), kind: "text", rare: true },
  ];
}
