// Cleanup as an act of an operator: one target a shard, all with the cut-off of the moment when it was asked for, so that an
// act that is resumed removes nothing that was too young then.
import type { Billing } from "./billing.ts";
import { type CleanupSettings, cleanup, type ShardCleanup } from "./cleanup.ts";
import { GROUP, streamKey } from "./keys.ts";
import {
  type Act,
  type Performer,
  type Run,
  type Step,
  type StepItem,
  type StepOutcome,
  startOperation,
} from "./operations.ts";
import { replyArray } from "./redis.ts";
import { countUnaccounted } from "./unaccounted.ts";

type CleanupTarget = { shard: number; cut_off_ms: number; max_per_shard: number };

/** What a cleanup came to on one shard, and what is left there, of whatever age. */
export type CleanedShard = ShardCleanup & { length: number; pending: number; unaccounted: number };

export type CleanedShards = {
  trimmed: number;
  /** Entries that stay in the streams. */
  kept: number;
  pending: number;
  /** Half-settled ones included. */
  unaccounted: number;
  danglingCleared: number;
  /** Dead ones that held nothing, each once, on however many shards it was known. */
  consumersRemoved: string[];
  shards: CleanedShard[];
};

/** `cutOffMs`: given to `startCleanup`, what became old enough since stays. */
export type CleanupPreview = CleanedShards & { cutOffMs: number };

/** What a cleanup would remove now. Brings the proven mark up to date first, and removes nothing. */
export async function previewCleanup(
  billing: Billing,
  settings: Omit<CleanupSettings, "dryRun">,
): Promise<CleanupPreview> {
  const cutOffMs = settings.cutOffMs ?? Date.now() - settings.maxAgeMs;
  const shards = await cleanup(billing, { ...settings, cutOffMs, dryRun: true });
  const cleaned = total(
    await Promise.all(
      shards.map(async (shard) => {
        const left = await readLeft(billing, shard.shard);
        const pending = left.pending - shard.danglingCleared;
        return { ...shard, ...left, pending, length: left.length - shard.trimmed };
      }),
    ),
  );
  return { ...cleaned, cutOffMs };
}

/** Starts a cleanup; returns the act's id. With a preview's `cutOffMs` and shards it removes nothing that was too young then. */
export async function startCleanup(
  billing: Billing,
  settings: Omit<CleanupSettings, "dryRun" | "signal">,
  act: Act,
): Promise<string> {
  const shards = settings.shards ?? Array.from({ length: billing.numShards }, (_, shard) => shard);
  const cutOffMs = settings.cutOffMs ?? Date.now() - settings.maxAgeMs;
  const targets = shards.map((shard) => ({
    name: streamKey(shard),
    target: { shard, cut_off_ms: cutOffMs, max_per_shard: settings.maxPerShard } satisfies CleanupTarget,
  }));
  const before = await readLengths(billing, shards);
  return await startOperation(billing, act, { action: "cleanup", targets, before });
}

export const cleanupPerformer: Performer = { step: 1, perform, conclude };

async function perform(billing: Billing, { signal }: Run, items: readonly StepItem[]): Promise<Step> {
  const outcomes: StepOutcome[] = [];
  for (const { n, target } of items) {
    const { shard, cut_off_ms: cutOffMs, max_per_shard: maxPerShard } = target as CleanupTarget;
    const settings = { shards: [shard], cutOffMs, maxAgeMs: 0, maxPerShard, dryRun: false, signal };
    const [cleaned] = await cleanup(billing, settings);
    if (signal.aborted) break; // perhaps in the middle: the next executor does the rest
    outcomes.push({ n, outcome: "applied", detail: { ...cleaned, ...(await readLeft(billing, shard)) } });
  }
  return { outcomes };
}

async function conclude(billing: Billing, run: Run) {
  const rows = await billing.query<{ detail: CleanedShard }>(
    "SELECT detail FROM data.operation_item WHERE operation_id = $1 AND outcome = 'applied' ORDER BY n",
    [run.act.id],
  );
  const cleaned = total(rows.map(({ detail }) => detail));
  const after = await readLengths(
    billing,
    cleaned.shards.map(({ shard }) => shard),
  );
  return { result: cleaned, after };
}

function total(shards: CleanedShard[]): CleanedShards {
  const sum = (read: (shard: CleanedShard) => number) => shards.reduce((all, shard) => all + read(shard), 0);
  return {
    trimmed: sum(({ trimmed }) => trimmed),
    kept: sum(({ length }) => length),
    pending: sum(({ pending }) => pending),
    unaccounted: sum(({ unaccounted }) => unaccounted),
    danglingCleared: sum(({ danglingCleared }) => danglingCleared),
    consumersRemoved: [...new Set(shards.flatMap(({ consumersRemoved }) => consumersRemoved))].toSorted(),
    shards,
  };
}

async function readLeft(billing: Billing, shard: number) {
  const key = streamKey(shard);
  const summary = await billing.ask((redis) => redis.xpending(key, GROUP).catch(noGroup));
  const length = await billing.ask((redis) => redis.xlen(key));
  return { length, pending: Number(replyArray(summary)[0]), unaccounted: await countUnaccounted(billing, shard) };
}

function noGroup(error: unknown): [number] {
  if (error instanceof Error && error.message.startsWith("NOGROUP")) return [0];
  throw error;
}

async function readLengths(billing: Billing, shards: readonly number[]): Promise<Record<string, number>> {
  const lengths = await Promise.all(
    shards.map(
      async (shard) => [streamKey(shard), await billing.ask((redis) => redis.xlen(streamKey(shard)))] as const,
    ),
  );
  return Object.fromEntries(lengths);
}
