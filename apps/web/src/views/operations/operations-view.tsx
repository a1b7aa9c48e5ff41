"use client";

// Who did what, when, why, to what, with what result.
import type { Operation } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { useTRPC } from "@/trpc/client.ts";
import { useOperationColumns } from "@/views/operations/operation-columns.tsx";
import { actions, useActionWord } from "@/views/operations/operation-words.tsx";

const KEYS = ["actor", "action", "state", "from", "to"] as const;
type Key = (typeof KEYS)[number];

const STATES = ["unfinished", "finished"] as const;

/** The router checks them again; what an address says may be anything. */
type Asked = Omit<Partial<Record<Key, string>>, "state"> & { state?: (typeof STATES)[number] };

export function OperationsView() {
  const t = useTranslations("operations");
  const trpc = useTRPC();
  const address = useListAddress(KEYS);
  const filters = address.filters as Asked;
  const list = useList(trpc.operations, { filters }, address.page);
  const word = useActionWord();
  const specs: FilterSpec<Key>[] = [
    { key: "actor", label: t("filter.actor"), kind: "text" },
    {
      key: "action",
      label: t("filter.action"),
      kind: "choice",
      options: actions.map((value) => ({ value, label: word(value) })),
    },
    {
      key: "state",
      label: t("filter.state"),
      kind: "choice",
      options: STATES.map((value) => ({ value, label: t(value) })),
    },
    { key: "from", label: t("filter.from"), kind: "moment" },
    { key: "to", label: t("filter.to"), kind: "moment" },
  ];
  return (
    <List<Operation, Key>
      name="operations"
      label={t("title")}
      columns={useOperationColumns()}
      filters={specs}
      address={address}
      {...list}
      rowId={({ id }) => id}
      rowName={({ action, actor }) => `${word(action)}, ${actor}`}
      rowTone={({ counts, state }) =>
        (counts?.failed ?? 0) > 0 ? "critical" : state === "done" || state === "aborted" ? undefined : "warning"
      }
      empty={{ title: t("empty.title"), help: t("empty.help") }}
    />
  );
}
