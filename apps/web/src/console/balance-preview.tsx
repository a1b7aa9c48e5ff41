"use client";

// What an act would do to an amount: before → after, both exact.
import { ArrowRight } from "lucide-react";
import { Amount } from "@/ui/amount.tsx";

export type Change = { label: string; before: string | null; after: string | null };

/** An amount that is not known now is said to be that, by `unknown`. */
export function BalancePreview({
  changes,
  currency,
  unknown,
}: {
  changes: readonly Change[];
  currency: string;
  unknown: string;
}) {
  return (
    <dl className="grid grid-cols-1 gap-2 rounded-md bg-sunken px-3 py-2">
      {changes.map(({ label, before, after }) => (
        <div key={label} className="flex flex-wrap items-baseline gap-x-4 gap-y-0.5">
          <dt className="w-40 text-xs text-quiet">{label}</dt>
          <dd className="flex min-w-0 flex-wrap items-baseline gap-x-2">
            {before === null ? unknown : <Amount value={before} wrap />}
            <ArrowRight aria-hidden className="size-3.5 self-center text-faint" />
            {after === null ? unknown : <Amount value={after} currency={currency} wrap className="font-semibold" />}
          </dd>
        </div>
      ))}
    </dl>
  );
}
