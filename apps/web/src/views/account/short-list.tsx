"use client";

import type { ReactNode } from "react";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { type Column, DataTable } from "@/ui/data-table.tsx";
import { EmptyState, SkeletonTable } from "@/ui/states.tsx";

export type Asked<T> = { data: T | undefined; error: unknown };

/** A short list, as it is now. */
export function ShortList<Row extends object>(props: {
  asked: Asked<readonly Row[]>;
  label: string;
  columns: readonly Column<Row>[];
  rowId: (row: Row) => string;
  empty: { title: string; help: string };
  below?: (row: Row) => ReactNode;
}) {
  const { asked, label, columns, rowId, empty, below } = props;
  const rows = asked.data;
  return (
    <div className="grid grid-cols-1 gap-3">
      {asked.error != null && <FaultNotice error={asked.error} beside={rows !== undefined} />}
      {rows === undefined ? (
        asked.error == null && <SkeletonTable columns={columns.length} />
      ) : rows.length === 0 ? (
        <EmptyState title={empty.title}>{empty.help}</EmptyState>
      ) : (
        <DataTable
          label={label}
          columns={columns}
          rows={rows}
          rowId={rowId}
          rowName={rowId}
          {...(below ? { below } : {})}
        />
      )}
    </div>
  );
}
