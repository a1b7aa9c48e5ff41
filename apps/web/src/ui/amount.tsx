import { clsx } from "clsx";
import { amountDirection, amountParts } from "@/ui/amount-groups.ts";

export type AmountProps = {
  /** The exact decimal text of the books. */
  value: string;
  /** A "+" before what is more than zero, and the colours of money in and out: for movements, not for balances. */
  signed?: boolean | undefined;
  /** Drawn after it, smaller. */
  currency?: string | undefined;
  /** May break between groups of digits; in tables it stays on one line. */
  wrap?: boolean | undefined;
  className?: string | undefined;
};

/** An amount to the last digit: the element's text is `value` itself (after a "+" when signed), digits grouped by margins alone. */
export function Amount({ value, signed, currency, wrap, className }: AmountProps) {
  const direction = amountDirection(value);
  const { sign, whole, fraction } = amountParts(value);
  const text = (
    <span
      data-amount=""
      className={clsx(
        "tabular-nums",
        !wrap && "whitespace-nowrap",
        signed && direction === "in" && "text-money-in",
        signed && direction === "out" && "text-money-out",
        className,
      )}
    >
      {signed && direction === "in" && sign === "" ? "+" : sign}
      <Groups groups={whole} wrap={wrap} />
      <Groups groups={fraction} wrap={wrap} className="text-[0.92em]" />
    </span>
  );
  if (currency === undefined) return text;
  return (
    <span className={clsx(!wrap && "whitespace-nowrap")}>
      {text} <span className="text-[0.8em] font-normal text-faint">{currency}</span>
    </span>
  );
}

function Groups({ groups, wrap, className }: { groups: string[]; wrap: boolean | undefined; className?: string }) {
  return groups.map((group, at) => (
    // Groups have no identity but their place.
    // oxlint-disable-next-line react/no-array-index-key
    <span key={at} className={clsx(at > 0 && "ms-[0.18em]", className)}>
      {wrap && at > 0 ? <wbr /> : null}
      {group}
    </span>
  ));
}
