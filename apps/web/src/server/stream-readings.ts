// The streams as every page that watches them reads them: once for all.
import type { PendingAges, StreamStats } from "@drawdown/billing";
import { domain } from "@/server/domain.ts";
import { sharedReading } from "@/server/live.ts";
import { partOf } from "@/server/parts.ts";
import { billing } from "@/server/stores.ts";

export const LIVE_MS = 1_000;
/** What takes a command for each account, or a statement for each shard. */
const SELDOM_MS = 5_000;

/** The limits of `ages`. */
const PENDING_AGES_MS = [10_000, 60_000, 600_000] as const;

export type Streams = StreamStats & { at: Date; ages: PendingAges };

const streams = sharedReading(async (): Promise<Streams> => {
  const open = await billing();
  const stats = await domain.readStreams(open);
  return { ...stats, at: new Date(), ages: await domain.readPendingAges(open, stats.shards, PENDING_AGES_MS) };
}, LIVE_MS);
const proven = sharedReading(async () => domain.readProven(await billing()), SELDOM_MS);
const holds = sharedReading(async () => domain.readOpenHolds(await billing()), SELDOM_MS);

export const readStreams = () => partOf(streams);
export const readProven = () => partOf(proven);
export const readHolds = () => partOf(holds);
