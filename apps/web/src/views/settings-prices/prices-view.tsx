"use client";

// What calls cost: every row of the price list, and what an admin does about it.
import type { PriceListRow } from "@drawdown/db";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { PageTitle } from "@/console/page-title.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Button } from "@/ui/button.tsx";
import { CallCostCard } from "@/views/settings-prices/call-cost.tsx";
import { type AskedOfPrice, priceColumns } from "@/views/settings-prices/price-columns.tsx";
import { blankPrice, type CustomerTypes, textOf } from "@/views/settings-prices/price-text.ts";
import { RemovePrice } from "@/views/settings-prices/remove-price.tsx";
import { SetPrice } from "@/views/settings-prices/set-price.tsx";

const KEYS = ["model", "provider", "customer", "holds", "source", "currency"] as const;
type Key = (typeof KEYS)[number];

const SOURCES = ["operator", "imported"] as const;
const EVERYBODY = "everybody";

type Asked = { source?: (typeof SOURCES)[number]; holds?: "now" };

export function PricesView() {
  const t = useTranslations("prices");
  const trpc = useTRPC();
  const queries = useQueryClient();
  const given = useListAddress(KEYS);
  // By name, from A on.
  const address = { ...given, page: { ...given.page, order: "oldest" as const } };
  const filters = address.filters as Asked;
  const list = useList(trpc.prices, { filters }, address.page);
  const types = useQuery(trpc.accounts.customerTypes.queryOptions()).data ?? [];
  const [asked, setAsked] = useState<AskedOfPrice | null>(null);
  const [open, setOpen] = useState(false);
  const ask = useCallback((next: AskedOfPrice) => {
    setAsked(next);
    setOpen(true);
  }, []);
  const columns = useMemo(() => priceColumns(t, ask), [t, ask]);
  const dialog = {
    open,
    onOpenChange: setOpen,
    onDone: () => {
      void queries.invalidateQueries(trpc.prices.pathFilter());
      address.renew();
    },
  };
  return (
    <>
      <PricesTitle onSet={() => ask({ what: "set", row: null })} />
      <CallCostCard types={types} />
      <List<PriceListRow, Key>
        name="prices"
        label={t("title")}
        columns={columns}
        filters={filterSpecs(t, types)}
        address={address}
        {...list}
        rowId={({ id }) => id}
        rowName={({ provider, model }) => `${provider}/${model}`}
        rowTone={({ holds }) => (holds === "now" ? undefined : "muted")}
        empty={{ title: t("empty.title"), help: t("empty.help") }}
        ordered={false}
      />
      <PriceAct asked={asked} dialog={dialog} types={types} />
    </>
  );
}

function PricesTitle({ onSet }: { onSet: () => void }) {
  const t = useTranslations("prices");
  const reason = useReasonAgainst("admin");
  return (
    <PageTitle
      note={t("note")}
      actions={
        <Button look="primary" icon={<Plus aria-hidden className="size-4" />} reason={reason} onClick={onSet}>
          {t("set")}
        </Button>
      }
    >
      {t("title")}
    </PageTitle>
  );
}

type Dialog = { open: boolean; onOpenChange: (open: boolean) => void; onDone: () => void };

function PriceAct({ asked, dialog, types }: { asked: AskedOfPrice | null; dialog: Dialog; types: CustomerTypes }) {
  if (asked === null) return null;
  const key = `${asked.what} ${asked.row?.id ?? ""}`;
  if (asked.what === "remove") return <RemovePrice key={key} {...dialog} row={asked.row} />;
  const start = asked.row === null ? blankPrice : textOf(asked.row);
  return <SetPrice key={key} {...dialog} types={types} start={start} />;
}

function filterSpecs(t: ReturnType<typeof useTranslations<"prices">>, types: CustomerTypes): FilterSpec<Key>[] {
  return [
    { key: "model", label: t("filter.model"), kind: "text" },
    { key: "provider", label: t("filter.provider"), kind: "text" },
    {
      key: "customer",
      label: t("filter.customer"),
      kind: "choice",
      options: [
        { value: EVERYBODY, label: t("everybody") },
        ...types.map(({ id, name }) => ({ value: id, label: name })),
      ],
    },
    { key: "holds", label: t("filter.holds"), kind: "choice", options: [{ value: "now", label: t("holds.now") }] },
    {
      key: "source",
      label: t("filter.source"),
      kind: "choice",
      rare: true,
      options: SOURCES.map((value) => ({ value, label: t(`source.${value}`) })),
    },
    { key: "currency", label: t("filter.currency"), kind: "text", rare: true },
  ];
}
