// What retention took out of an account's books, as everything else has to know it. Own deductions leave as the beginning of the chain, so
// one number says which: those up to the closing link are settled, though their rows are in files. What older producers drew has no link
// and leaves by time. docs/decisions/0135-what-retention-removes.md.
import type { UsageEntry } from "./stream.ts";

/** As `account_balance` has it: `closedSeq` is decimal text, "0" for none. */
export type Closed = { closedSeq: string; closedBefore: Date | null };

/** The milliseconds in an id that our scripts gave; undefined in any other. */
export function madeAtMs(deductionId: string): number | undefined {
  const digits = /^ded_(\d{13})_/.exec(deductionId)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * Whether a deduction may be one whose row was exported and removed. Nothing in the tables could tell then that it is settled already, so
 * it must not settle. A link is older than the oldest kept one when its number says so; without one the deduction's time decides: its
 * id's, and what the entry says.
 */
export function isTooOld(entry: UsageEntry, { closedSeq, closedBefore }: Closed): boolean {
  if (entry.accountSeq !== null) return entry.accountSeq <= BigInt(closedSeq);
  if (closedBefore === null) return false;
  const saidMs = Date.parse(entry.timestamp);
  return Math.min(saidMs, madeAtMs(entry.deductionId) ?? saidMs) < closedBefore.getTime();
}

export function tooOldMessage(entry: UsageEntry, { closedSeq, closedBefore }: Closed): string {
  const kept =
    entry.accountSeq === null
      ? `what was drawn before ${closedBefore?.toISOString()}`
      : `links up to ${closedSeq}, this is link ${entry.accountSeq}`;
  return `${entry.deductionId} is older than the oldest row that is kept: ${kept}, was exported and removed`;
}
