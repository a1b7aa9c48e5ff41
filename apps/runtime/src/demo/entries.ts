/** Entries as an older producer appends them, and what becomes of them when a worker dies or acks what it did not write. */
import { type Billing, GROUP, shardOf, streamKey } from "@drawdown/billing";

export type OlderEntry = {
  deductionId: string;
  accountId: string;
  virtualKey: string;
  /** As text: it may be no number. */
  cost: string;
  provider: string;
  model: string;
  inputTokens: number;
  outputTokens: number;
  at: Date;
};

function fieldsOf(entry: OlderEntry): string[] {
  return Object.entries({
    deduction_id: entry.deductionId,
    account_id: entry.accountId,
    account_type: "user",
    virtual_key: entry.virtualKey,
    cost: entry.cost,
    currency: "USD",
    provider: entry.provider,
    model: entry.model,
    input_tokens: String(entry.inputTokens),
    output_tokens: String(entry.outputTokens),
    timestamp: entry.at.toISOString(),
  }).flat();
}

function streamOf(billing: Billing, accountId: string): string {
  return streamKey(shardOf(accountId, billing.numShards));
}

/** Appends them, each for any worker. */
export async function append(billing: Billing, entries: readonly OlderEntry[]): Promise<void> {
  await Promise.all(
    entries.map((entry) => billing.redis.xadd(streamOf(billing, entry.accountId), "*", ...fieldsOf(entry))),
  );
}

/**
 * Appends one that this consumer is given in the same moment, before any waiting worker. What the shard had not delivered yet comes
 * with it, and is claimed like it. Returns the entry's id.
 */
export async function appendTo(billing: Billing, consumer: string, entry: OlderEntry): Promise<string> {
  const key = streamOf(billing, entry.accountId);
  await billing.redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM").catch(unlessThere);
  const replies = await billing.redis
    .multi()
    .xadd(key, "*", ...fieldsOf(entry))
    .xreadgroup("GROUP", GROUP, consumer, "COUNT", 1_000, "STREAMS", key, ">")
    .exec();
  const [error, entryId] = replies?.[0] ?? [];
  if (error || typeof entryId !== "string") throw error ?? new TypeError("XADD answered no id");
  return entryId;
}

/** Acks what was never written to the books, as an older worker does whose insert failed. */
export async function ackUnwritten(billing: Billing, accountId: string, entryId: string): Promise<void> {
  await billing.redis.xack(streamOf(billing, accountId), GROUP, entryId);
}

function unlessThere(error: unknown): void {
  if (!(error instanceof Error && error.message.startsWith("BUSYGROUP"))) throw error;
}
