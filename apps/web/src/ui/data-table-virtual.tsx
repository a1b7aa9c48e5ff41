"use client";

// The rows of a long table: only those near the screen are drawn, with room in place of the others.
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import type { ReactNode, RefObject } from "react";

const ROW_PX = 37;
const OVERSCAN = 20;

export type VirtualBodyProps<Row> = {
  body: RefObject<HTMLTableSectionElement | null>;
  rows: readonly Row[];
  line: (row: Row) => ReactNode;
  /** Columns. */
  span: number;
};

export function VirtualBody<Row>({ body, rows, line, span }: VirtualBodyProps<Row>) {
  // It changes without telling React's compiler, which is not used here.
  // oxlint-disable-next-line react/incompatible-library
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    scrollMargin: body.current?.offsetTop ?? 0,
  });
  const items = virtual.getVirtualItems();
  const { scrollMargin } = virtual.options;
  const [first, last] = [items[0], items.at(-1)];
  const above = first ? first.start - scrollMargin : 0;
  const under = last ? virtual.getTotalSize() - (last.end - scrollMargin) : 0;
  return (
    <tbody ref={body}>
      {above > 0 && <Space height={above} span={span} />}
      {items.flatMap(({ index }) => {
        const row = rows[index];
        return row === undefined ? [] : [line(row)];
      })}
      {under > 0 && <Space height={under} span={span} />}
    </tbody>
  );
}

function Space({ height, span }: { height: number; span: number }) {
  return (
    <tr aria-hidden="true">
      {/* Nothing but room. */}
      {/* oxlint-disable-next-line jsx-a11y/control-has-associated-label */}
      <td colSpan={span} style={{ height, padding: 0 }} />
    </tr>
  );
}
