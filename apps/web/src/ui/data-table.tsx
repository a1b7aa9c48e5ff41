"use client";

// A table of rows that a keyboard can walk: J and K move, X selects, Enter opens. At a phone's width each row becomes a block of labelled
// values. More rows than a screen holds many times over are drawn as they are scrolled to.
import {
  type ColumnDef,
  type RowSelectionState,
  rowSelectionFeature,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import {
  type ComponentType,
  type KeyboardEvent,
  lazy,
  type ReactNode,
  type RefObject,
  Suspense,
  useMemo,
  useRef,
} from "react";
import { Checkbox } from "@/ui/checkbox.tsx";
import type { VirtualBodyProps } from "@/ui/data-table-virtual.tsx";
import "@/ui/data-table.css";

const features = tableFeatures({ rowSelectionFeature });
/** As many rows as are drawn whole; more are drawn where they are looked at. */
const WHOLE_ROWS = 120;

const VirtualBody = lazy(async () => {
  const { VirtualBody: Real } = await import("@/ui/data-table-virtual.tsx");
  // `lazy` forgets that it takes rows of any kind.
  return { default: Real as ComponentType<VirtualBodyProps<{ id: string }>> };
}) as <Row extends { id: string }>(props: VirtualBodyProps<Row>) => ReactNode;

export type Column<Row> = {
  id: string;
  /** The heading, and the label of the value at a phone's width. */
  title: string;
  cell: (row: Row) => ReactNode;
  /** Numbers and amounts stand at the end. */
  align?: "end";
  /** Takes the space that is left. */
  grow?: boolean;
};

export type DataTableProps<Row> = {
  /** The table's accessible name. */
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowId: (row: Row) => string;
  /** Names a row to who cannot see it: of its checkbox. */
  rowName: (row: Row) => string;
  /** Marks a row: a break in a chain, something that failed. */
  rowTone?: (row: Row) => "critical" | "warning" | "muted" | undefined;
  selection?: {
    ids: ReadonlySet<string>;
    onChange: (ids: ReadonlySet<string>) => void;
    /** Labels of the checkboxes: of all rows here, and of one by its name. */
    allLabel: string;
    oneLabel: (name: string) => string;
  };
  /** What stands in the place of a row that belongs to it: drawn after it over the whole width. */
  below?: (row: Row) => ReactNode;
  /** The same before it. */
  above?: (row: Row) => ReactNode;
  busy?: boolean;
};

export function DataTable<Row extends object>(props: DataTableProps<Row>) {
  const { columns, rows, rowId, selection, label, busy } = props;
  const definitions = useMemo<ColumnDef<typeof features, Row>[]>(
    () => columns.map(({ id, title, cell }) => ({ id, header: title, cell: ({ row }) => cell(row.original) })),
    [columns],
  );
  const selected = useMemo<RowSelectionState>(
    () => Object.fromEntries([...(selection?.ids ?? [])].map((id) => [id, true as const])),
    [selection?.ids],
  );
  const table = useTable({
    features,
    columns: definitions,
    data: rows,
    getRowId: rowId,
    state: { rowSelection: selected },
    onRowSelectionChange: (update) => {
      const next = typeof update === "function" ? update(selected) : update;
      selection?.onChange(new Set(Object.keys(next)));
    },
  });
  const body = useRef<HTMLTableSectionElement>(null);
  return (
    <div className="data-table-frame">
      {/* The keys move among links and boxes, each of which can be reached without them. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <table
        className="data-table"
        aria-label={label}
        aria-busy={busy}
        onKeyDown={(event) => walk(event, body.current)}
      >
        <thead>
          <tr>
            {selection && (
              <th scope="col" className="data-table-select">
                <Checkbox
                  label={selection.allLabel}
                  hideLabel
                  checked={table.getIsAllRowsSelected()}
                  some={!table.getIsAllRowsSelected() && rows.some((row) => selection.ids.has(rowId(row)))}
                  onChange={() => table.toggleAllRowsSelected()}
                />
              </th>
            )}
            {columns.map(({ id, title, align, grow }) => (
              <th key={id} scope="col" data-align={align} className={grow ? "w-full" : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <Body {...props} body={body} table={table.getRowModel().rows} />
      </table>
    </div>
  );
}

type BodyProps<Row> = DataTableProps<Row> & {
  body: RefObject<HTMLTableSectionElement | null>;
  table: readonly { id: string; original: Row; toggleSelected: () => void }[];
};

function Body<Row extends object>(props: BodyProps<Row>) {
  const { table, body, columns, selection } = props;
  const span = columns.length + (selection ? 1 : 0);
  const line = (row: BodyProps<Row>["table"][number]) => <Line key={row.id} {...props} row={row} span={span} />;
  const whole = <tbody ref={body}>{table.slice(0, WHOLE_ROWS).map(line)}</tbody>;
  if (table.length <= WHOLE_ROWS) return whole;
  return (
    <Suspense fallback={whole}>
      <VirtualBody body={body} rows={table} line={line} span={span} />
    </Suspense>
  );
}

function Line<Row extends object>({
  row,
  columns,
  rowName,
  rowTone,
  selection,
  below,
  above,
  span,
}: BodyProps<Row> & { row: BodyProps<Row>["table"][number]; span: number }) {
  const name = rowName(row.original);
  return (
    <>
      <Beside span={span}>{above?.(row.original)}</Beside>
      <tr data-row={row.id} data-tone={rowTone?.(row.original)} data-selected={selection?.ids.has(row.id) || undefined}>
        {selection && (
          <td className="data-table-select">
            <Checkbox
              label={selection.oneLabel(name)}
              hideLabel
              checked={selection.ids.has(row.id)}
              onChange={() => row.toggleSelected()}
            />
          </td>
        )}
        {columns.map(({ id, title, cell, align }) => (
          <td key={id} data-title={title} data-align={align}>
            {cell(row.original)}
          </td>
        ))}
      </tr>
      <Beside span={span}>{below?.(row.original)}</Beside>
    </>
  );
}

function Beside({ span, children }: { span: number; children: ReactNode }) {
  if (children == null || children === false) return null;
  return (
    <tr className="data-table-below">
      <td colSpan={span}>{children}</td>
    </tr>
  );
}

/** J and K, or the arrows, from row to row: the focus goes to a row's first link or button, else to its checkbox. */
function walk(event: KeyboardEvent, body: HTMLTableSectionElement | null): void {
  if (body === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target instanceof HTMLElement ? event.target : null;
  if (
    target === null ||
    (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.getAttribute("type") !== "checkbox")
  )
    return;
  const rows = [...body.querySelectorAll<HTMLElement>("tr[data-row]")];
  const here = rows.findIndex((row) => row.contains(target));
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") {
    event.preventDefault();
    focusRow(rows[Math.min(Math.max(here + (key === "j" ? 1 : -1), 0), rows.length - 1)]);
  } else if (key === "x" && here >= 0) {
    event.preventDefault();
    rows[here]?.querySelector<HTMLElement>("input[type=checkbox]")?.click();
  }
}

function focusRow(row: HTMLElement | undefined): void {
  const entrance =
    row?.querySelector<HTMLElement>("a[href]") ?? row?.querySelector<HTMLElement>("button, input[type=checkbox]");
  entrance?.focus();
  row?.scrollIntoView({ block: "nearest" });
}

/** Moves the focus into a table from anywhere on the page. */
export function enterTable(): void {
  focusRow(document.querySelector<HTMLElement>("table.data-table tbody tr[data-row]") ?? undefined);
}
