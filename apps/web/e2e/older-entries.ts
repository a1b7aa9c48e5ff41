// Entries as an older producer appends them, many at once.
import { GROUP, shardOf, streamKey } from "@drawdown/billing";
import type { Stage } from "./stage.ts";

export type Older = { accountId: string; count: number; name: string; cost: string };

/** Appends them; their deductions are `<name>-0`, `<name>-1` and so on. */
export async function appendOlder(stage: Stage, { accountId, count, name, cost }: Older): Promise<string[]> {
  const { redis, numShards } = await stage.billing();
  const stream = streamKey(shardOf(accountId, numShards));
  const ids = Array.from({ length: count }, (_, n) => `${name}-${n}`);
  const pipeline = redis.pipeline();
  for (const id of ids) {
    const own = { deduction_id: id, account_id: accountId, account_type: "user", cost };
    const fields = { ...own, virtual_key: "vk_older", provider: "openai", model: "gpt-4o-mini" };
    pipeline.xadd(stream, "*", ...Object.entries(fields).flat());
  }
  await pipeline.exec();
  return ids;
}

/** Takes all that no worker has read of the account's stream, and acks it unwritten, as an older worker did. Without a worker. */
export async function ackUnwritten(stage: Stage, accountId: string): Promise<void> {
  const { redis, numShards } = await stage.billing();
  const stream = streamKey(shardOf(accountId, numShards));
  const read = await redis.xreadgroup("GROUP", GROUP, "older-worker", "COUNT", 10_000, "STREAMS", stream, ">");
  const entries =
    (read as [string, [string, string[]][]][] | null)?.flatMap(([, list]) => list.map(([id]) => id)) ?? [];
  if (entries.length > 0) await redis.xack(stream, GROUP, ...entries);
  await redis.xgroup("DELCONSUMER", stream, GROUP, "older-worker");
}
