"use client";

// What every list is: filters, what came since, the rows, what is chosen of them, and the way to the next page. A list never moves under its
// reader: new rows wait behind a bar until they are asked for.
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { type ListAddress, ORDERS, type Order, PAGE_SIZES } from "@/console/list-address.ts";
import { ExportMenu } from "@/console/list-export.tsx";
import { type FilterSpec, Filters } from "@/console/list-filters.tsx";
import type { ListSelection } from "@/console/list-selection.ts";
import { SavedViews } from "@/console/list-views.tsx";
import { Button } from "@/ui/button.tsx";
import { type Column, DataTable, type DataTableProps } from "@/ui/data-table.tsx";
import { Pagination } from "@/ui/pagination.tsx";
import { Select } from "@/ui/select.tsx";
import { EmptyState, SkeletonTable } from "@/ui/states.tsx";

/** As packages/db gives it. */
export type Page<Row> = {
  rows: Row[];
  next: string | null;
  previous: string | null;
  pin: string;
  /** The page is short because the search was cut here; the next page goes on. */
  searching: boolean;
};

/** Not exact: there are more. */
export type Count = { count: number; exact: boolean };

export type ListProps<Row, Key extends string> = {
  /** As saved views and the export know it. */
  name: string;
  label: string;
  columns: readonly Column<Row>[];
  filters: readonly FilterSpec<Key>[];
  address: ListAddress<Key>;
  query: { data: Page<Row> | undefined; error: unknown; isFetching: boolean; refetch: () => Promise<unknown> };
  /** What arrived since the window was pinned. */
  newer?: Count | undefined;
  /** Of the window and its filters. */
  total?: Count | undefined;
  rowId: (row: Row) => string;
  rowName: (row: Row) => string;
  selection?: ListSelection;
  /** What can be done with what is chosen. */
  actions?: ReactNode;
  /** Shown when there is nothing at all, without any filter. */
  empty: { title: string; help: string };
  ordered?: boolean;
  exported?: boolean;
  /** What the export is of beside its filters, where the page's path says it: an account. */
  exportedOf?: Readonly<Record<string, string>>;
} & Pick<DataTableProps<Row>, "rowTone" | "below" | "above">;

export function List<Row extends object, Key extends string>(props: ListProps<Row, Key>) {
  const { query, address, filters, name, total, exported = true, ordered = true } = props;
  const t = useTranslations("lists");
  return (
    <section aria-label={props.label} className="grid gap-3">
      <Filters specs={filters} address={address} />
      <div className="flex flex-wrap items-center justify-between gap-2">
        <p className="text-quiet tabular-nums">
          {total && t("total", { count: total.count, more: String(!total.exact) })}
        </p>
        <div className="flex flex-wrap items-center gap-2">
          {ordered && <OrderChoice order={address.page.order} onChange={address.setOrder} />}
          <SavedViews page={name} />
          {exported && <ExportMenu list={name} address={address} of={props.exportedOf} pin={query.data?.pin} />}
        </div>
      </div>
      <Newer {...props} />
      {props.selection && <Chosen {...props} selection={props.selection} />}
      {query.error != null && <FaultNotice error={query.error} beside={query.data !== undefined} />}
      <div className="rounded-lg border border-line bg-surface">
        <Rows {...props} />
      </div>
      <Ways {...props} />
    </section>
  );
}

function Rows<Row extends object, Key extends string>(props: ListProps<Row, Key>) {
  const { query, columns, address, selection, empty } = props;
  const t = useTranslations("lists");
  const page = query.data;
  if (page === undefined) return query.error ? null : <SkeletonTable columns={columns.length} />;
  if (page.rows.length === 0) {
    const filtered = Object.keys(address.filters).length > 0;
    if (page.searching) return <EmptyState title={t("nothingYet")}>{t("searching")}</EmptyState>;
    return filtered ? (
      <EmptyState title={t("emptyFiltered")}>{t("emptyFilteredHelp")}</EmptyState>
    ) : (
      <EmptyState title={empty.title}>{empty.help}</EmptyState>
    );
  }
  return (
    <DataTable
      label={props.label}
      columns={columns}
      rows={page.rows}
      rowId={props.rowId}
      rowName={props.rowName}
      busy={query.isFetching}
      {...(props.rowTone ? { rowTone: props.rowTone } : {})}
      {...(props.below ? { below: props.below } : {})}
      {...(props.above ? { above: props.above } : {})}
      {...(selection
        ? {
            selection: {
              ids: selection.kind === "all" ? new Set(page.rows.map(props.rowId)) : selection.ids,
              onChange: selection.choose,
              allLabel: t("selectAll"),
              oneLabel: (row: string) => t("selectOne", { name: row }),
            },
          }
        : {})}
    />
  );
}

function OrderChoice({ order, onChange }: { order: Order; onChange: (order: Order) => void }) {
  const t = useTranslations("lists");
  return (
    <Select
      label={t("order")}
      hideLabel
      value={order}
      onChange={(value) => onChange(ORDERS.find((known) => known === value) ?? "newest")}
      options={ORDERS.map((value) => ({ value, label: t(value) }))}
    />
  );
}

/** What arrived waits here, so that no row jumps away from under a finger. */
function Newer<Row, Key extends string>({ newer, address, query }: ListProps<Row, Key>) {
  const t = useTranslations("lists");
  return (
    <output className="contents">
      {newer && newer.count > 0 && (
        <span className="flex items-center gap-3 rounded-md bg-accent-soft px-3 py-1.5 text-sm">
          {t("newer", { count: newer.count, more: String(!newer.exact) })}
          <Button
            size="small"
            onClick={() => {
              address.renew();
              // Where the address does not change, the same question has another answer now.
              void query.refetch();
            }}
          >
            {t("showNewer")}
          </Button>
        </span>
      )}
    </output>
  );
}

function Chosen<Row, Key extends string>({
  selection,
  total,
  actions,
}: ListProps<Row, Key> & { selection: ListSelection }) {
  const t = useTranslations("lists");
  const all = selection.kind === "all";
  const count = { count: total?.count ?? 0, more: String(total?.exact === false) };
  if (!all && selection.ids.size === 0) return null;
  return (
    <div className="flex flex-wrap items-center gap-3 rounded-md border border-line px-3 py-2 text-sm">
      <output>{all ? t("allMatching", count) : t("selected", { count: selection.ids.size })}</output>
      {!all && total && total.count > selection.ids.size && (
        <Button size="small" look="ghost" onClick={selection.chooseAll}>
          {t("selectMatching", count)}
        </Button>
      )}
      <Button size="small" look="ghost" onClick={selection.clear}>
        {t("clearSelection")}
      </Button>
      <div className="ms-auto flex flex-wrap gap-2">{actions}</div>
    </div>
  );
}

function Ways<Row, Key extends string>({ address, query }: ListProps<Row, Key>) {
  const t = useTranslations("lists");
  const { pin = "", previous = null, next = null, searching = false } = query.data ?? {};
  const { cursor } = address.page;
  return (
    <div className="flex flex-wrap items-end justify-between gap-2">
      <Select
        label={t("size")}
        value={String(address.page.limit)}
        onChange={(value) => address.setSize(Number(value))}
        options={PAGE_SIZES.map((size) => ({ value: String(size), label: String(size) }))}
      />
      <Pagination
        busy={query.isFetching && query.data !== undefined}
        onFirst={cursor === undefined ? undefined : () => address.goTo(null, pin)}
        onPrevious={previous === null ? undefined : () => address.goTo(previous, pin)}
        onNext={next === null ? undefined : () => address.goTo(next, pin)}
      >
        {searching && t("searching")}
      </Pagination>
    </div>
  );
}
