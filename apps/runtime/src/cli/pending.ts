/** `drawdown pending`: what was delivered and not acked, who holds it, and whether it can be read. */
import { formatUnits, listPending, type PendingEntry, type PendingFilters, streamKey } from "@drawdown/billing";
import { withBilling } from "../stores.ts";
import { type Filters, filtersOf } from "./act.ts";
import { duration, print, printJson, printTable } from "./output.ts";

export type PendingOptions = Filters & { json: boolean; consumer?: string; limit: number };

export async function pendingCommand(options: PendingOptions): Promise<void> {
  await withBilling(async (billing) => {
    const filters: PendingFilters = {
      ...filtersOf(options, billing.numShards),
      ...(options.consumer === undefined ? {} : { consumer: options.consumer }),
    };
    const { entries, more } = await listPending(billing, filters, options.limit);
    if (options.json) return printJson({ count: entries.length, more, entries: entries.map(document) });
    if (entries.length === 0) return print("Nothing is pending.");
    printTable([["shard", "entry", "held by", "idle", "deliveries", "age", "what"], ...entries.map(row)]);
    if (more) print(`… and more: these are the first ${entries.length}.`);
  });
}

function document({ shard, entryId, consumer, live, idleMs, deliveries, ageMs, entry, unreadable }: PendingEntry) {
  const usage = entry?.kind === "usage" ? entry : undefined;
  return {
    stream: streamKey(shard),
    shard,
    entry_id: entryId,
    consumer,
    live,
    idle_ms: idleMs,
    deliveries,
    age_ms: ageMs,
    kind: entry?.kind ?? null,
    deduction_id: usage?.deductionId ?? null,
    account_id: entry?.accountId ?? null,
    account_seq: entry?.accountSeq ?? null,
    cost: usage ? formatUnits(usage.costNanos) : null,
    amount: entry && entry.kind !== "usage" ? formatUnits(entry.amountNanos) : null,
    currency: usage?.currency ?? null,
    provider: usage?.provider ?? null,
    model: usage?.model ?? null,
    unreadable: unreadable ? { error_class: unreadable.errorClass, message: unreadable.message } : null,
  };
}

function row({ shard, entryId, consumer, live, idleMs, deliveries, ageMs, entry, unreadable }: PendingEntry): string[] {
  const what =
    entry?.kind === "usage"
      ? `${entry.deductionId}  ${formatUnits(entry.costNanos)} ${entry.currency} of ${entry.accountId}`
      : entry
        ? `${entry.kind} of ${formatUnits(entry.amountNanos)} to ${entry.accountId}`
        : `unreadable: ${unreadable?.message}`;
  const holder = `${consumer} (${live ? "live" : "dead"})`;
  return [String(shard), entryId, holder, duration(idleMs), String(deliveries), duration(ageMs), what];
}
