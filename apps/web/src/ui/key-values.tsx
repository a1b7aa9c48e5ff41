import { clsx } from "clsx";
import type { ReactNode } from "react";

export type KeyValue = { label: ReactNode; value: ReactNode; note?: ReactNode };

/** Names and values of one thing; beside each other where there is room. */
export function KeyValues({ items, columns = 1 }: { items: readonly KeyValue[]; columns?: 1 | 2 | undefined }) {
  return (
    <dl className={clsx("grid gap-x-8", columns === 2 && "lg:grid-cols-2")}>
      {items.map((item, index) => (
        // The labels of one list are fixed in number and order.
        // oxlint-disable-next-line react/no-array-index-key
        <div key={index} className="flex flex-col border-b border-line py-1.5 last:border-b-0 sm:flex-row sm:gap-4">
          <dt className="shrink-0 text-quiet sm:w-44">{item.label}</dt>
          <dd className="min-w-0 flex-1 wrap-anywhere tabular-nums">
            {item.value}
            {item.note === undefined ? null : <span className="block text-xs text-faint">{item.note}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
