import type { PriceListRow } from "@drawdown/db";
import { Ellipsis } from "lucide-react";
import { useTranslations } from "use-intl";
import { useReasonAgainst } from "@/console/operator.tsx";
import { Badge } from "@/ui/badge.tsx";
import { IconButton } from "@/ui/button.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { Menu, MenuItem } from "@/ui/menu.tsx";
import { Moment } from "@/ui/moment.tsx";
import { RowPrices } from "@/views/settings-prices/row-prices.tsx";

type Words = ReturnType<typeof useTranslations<"prices">>;

export type AskedOfPrice = { what: "set"; row: PriceListRow | null } | { what: "remove"; row: PriceListRow };

export function priceColumns(t: Words, ask: (asked: AskedOfPrice) => void): Column<PriceListRow>[] {
  return [
    {
      id: "model",
      title: t("column.model"),
      cell: ({ provider, model }) => (
        <span className="grid min-w-0 xl:min-w-40">
          <bdi className="line-clamp-3 font-medium">{model}</bdi>
          <bdi className="line-clamp-2 text-xs text-quiet">{provider}</bdi>
        </span>
      ),
    },
    {
      id: "for",
      title: t("column.for"),
      cell: ({ customerTypeId, customerType }) =>
        customerTypeId === null ? (
          <span className="text-quiet">{t("everybodyShort")}</span>
        ) : (
          <bdi className="line-clamp-2">{customerType ?? customerTypeId}</bdi>
        ),
    },
    { id: "prices", title: t("column.prices"), cell: (row) => <RowPrices row={row} /> },
    { id: "from", title: t("column.from"), cell: (row) => <From row={row} t={t} /> },
    {
      id: "source",
      title: t("column.source"),
      cell: ({ source, sourceDate }) => (
        <span className="grid">
          <bdi className="line-clamp-2 xl:min-w-24">{source === "operator" ? t("source.operator") : source}</bdi>
          {sourceDate !== null && <span className="text-xs whitespace-nowrap text-quiet">{sourceDate}</span>}
        </span>
      ),
    },
    { id: "acts", title: t("actions"), align: "end", cell: (row) => <Acts row={row} ask={ask} /> },
  ];
}

/** Where imports put the prices that have always held. */
const ALWAYS_MS = 0;

function From({ row: { validFrom, windowStart, windowEnd, holds }, t }: { row: PriceListRow; t: Words }) {
  return (
    <span className="grid justify-items-start gap-0.5">
      {validFrom.getTime() === ALWAYS_MS ? (
        <span className="text-quiet">{t("always")}</span>
      ) : (
        <Moment at={validFrom} precision="minutes" className="whitespace-nowrap" />
      )}
      {windowStart !== null && windowEnd !== null && (
        <span className="text-xs whitespace-nowrap">
          {t("hours", { from: windowStart.slice(0, 5), to: windowEnd.slice(0, 5) })}
        </span>
      )}
      {holds !== "now" && <Badge tone={holds === "later" ? "accent" : "neutral"}>{t(`holds.${holds}`)}</Badge>}
    </span>
  );
}

function Acts({ row, ask }: { row: PriceListRow; ask: (asked: AskedOfPrice) => void }) {
  const t = useTranslations("prices");
  const reason = useReasonAgainst("admin");
  const name = `${t("actions")}: ${row.provider}/${row.model}`;
  return (
    <Menu trigger={<IconButton label={name} size="small" icon={<Ellipsis aria-hidden className="size-4" />} />}>
      <MenuItem reason={reason} onSelect={() => ask({ what: "set", row })}>
        {t("setAnew")}
      </MenuItem>
      <MenuItem danger reason={reason} onSelect={() => ask({ what: "remove", row })}>
        {t("remove")}
      </MenuItem>
    </Menu>
  );
}
