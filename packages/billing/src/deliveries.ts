// What the streams deliver to a consumer: new entries, and those it was given before. Each carries the epoch that its shard had before
// it was read: what Redis loses after that, it loses in a later one.
import type { Billing } from "./billing.ts";
import { GROUP, streamKey } from "./keys.ts";
import { type RedisClient, redisFailure, replyArray } from "./redis.ts";
import { type EntryInHand, type RawEntry, readStreamReply } from "./stream.ts";

/** A consumer and the connection on which it reads. */
export type Reader = { billing: Billing; consumer: string; signal: AbortSignal; redis: RedisClient };

/** Makes the consumer group of each shard, from the first entry on, where there is none. */
export async function createGroups(redis: RedisClient, shards: readonly number[]): Promise<void> {
  for (const shard of shards) {
    try {
      await redis.xgroup("CREATE", streamKey(shard), GROUP, "0", "MKSTREAM");
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith("BUSYGROUP"))) throw redisFailure(error);
    }
  }
}

/** `from`: an id, for what was delivered after it and is pending, or `>` for what is new. `count`: at most so many of each shard. */
type Asked = { from: string; count: number; blockMs?: number };

/** Reads entries of these shards; with `blockMs` it waits so long for the first one. */
export async function readDeliveries(
  { billing, consumer, signal, redis }: Reader,
  shards: readonly number[],
  { from, count, blockMs }: Asked,
): Promise<EntryInHand[]> {
  const block = blockMs === undefined ? [] : ["BLOCK", blockMs];
  const streams = [...shards.map(streamKey), ...shards.map(() => from)];
  const args = ["GROUP", GROUP, consumer, "COUNT", count, ...block, "STREAMS", ...streams];
  const epochs = await readEpochs(billing, shards);
  const reply = await redis.callBuffer("XREADGROUP", ...args).catch(async (error: unknown) => {
    if (signal.aborted) return null;
    if (error instanceof Error && error.message.includes("NOGROUP")) await createGroups(redis, shards);
    throw redisFailure(error);
  });
  if (reply === null) return [];
  const streamsRead = replyArray(reply);
  const batch = streamsRead.flatMap((stream) => readStreamReply(stream, epochs));
  streamsRead.length = 0; // let go, as redis.ts says
  if (batch.length > 0 && from === ">") billing.observe("consume.read", { entries: batch.length });
  return batch;
}

/** The shards' epochs, before something is read from them. */
export async function readEpochs(billing: Billing, shards: readonly number[]): Promise<Map<number, bigint>> {
  const { fence } = billing;
  return new Map(await Promise.all(shards.map(async (shard) => [shard, await fence.epoch(shard)] as const)));
}

export function withEpochs(batch: readonly RawEntry[], epochs: ReadonlyMap<number, bigint>): RawEntry[] {
  return batch.map((raw) => {
    const epoch = epochs.get(raw.shard);
    return epoch === undefined ? raw : { ...raw, epoch };
  });
}

/** The same entries with how often each was delivered. */
export async function countDeliveries(billing: Billing, batch: readonly EntryInHand[]): Promise<EntryInHand[]> {
  return await Promise.all(
    batch.map(async (raw) => {
      const ask = (redis: RedisClient) => redis.xpending(streamKey(raw.shard), GROUP, raw.entryId, raw.entryId, 1);
      const [row] = await billing.ask(ask);
      return { ...raw, deliveryCount: Array.isArray(row) ? Number(row[3]) : raw.deliveryCount };
    }),
  );
}
