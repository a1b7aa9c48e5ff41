// Reckoning with amounts on the page, for previews: exactly, as the books do it.
import { formatUnits, MAX_AMOUNT_NANOS, parseUnits } from "@drawdown/billing/money";

/** Nanos of what was typed; undefined for what is no amount. At most 9 decimals and 999,999,999.999999999. */
export function readAmount(text: string): bigint | undefined {
  try {
    const nanos = parseUnits(text.trim());
    return nanos > MAX_AMOUNT_NANOS || nanos < -MAX_AMOUNT_NANOS ? undefined : nanos;
  } catch {
    return undefined;
  }
}

/** Of two amounts of the books. */
export function plus(left: string, right: string): string {
  return formatUnits(parseUnits(left) + parseUnits(right));
}

export function negated(amount: string): string {
  return formatUnits(-parseUnits(amount));
}

/** How many thousandths of `whole` an amount is, for a bar that shows it. */
export function thousandths(part: string, whole: string): number {
  const of = parseUnits(whole);
  return of <= 0n ? 0 : Number((parseUnits(part) * 1_000n) / of);
}

export function isBelow(amount: string, limit: string): boolean {
  return parseUnits(amount) < parseUnits(limit);
}

export function isZero(amount: string): boolean {
  return parseUnits(amount) === 0n;
}
