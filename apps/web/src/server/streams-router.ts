// The streams, shard by shard: what stands in them, who reads them, and cleaning them up.
import type { CleanupPreview, StandingEntry } from "@drawdown/billing";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { domain } from "@/server/domain.ts";
import { every } from "@/server/live.ts";
import { LIVE_MS, readProven, readStreams } from "@/server/stream-readings.ts";
import { adminProcedure, router, viewerProcedure } from "@/server/trpc.ts";

const UNACCOUNTED_MAX = 200;
const HOUR_MS = 3_600_000;

const shardInput = z.number().int().min(0).max(65_535);
/** Null: all of them. */
const shardsInput = z.array(shardInput).min(1).max(1_024).nullable();

/** What is known of an entry that is acked and not in the books. Amounts are decimal text. */
export type Unaccounted = {
  /** As acts name it. */
  name: string;
  shard: number;
  entryId: string;
  /** An older worker wrote its row and moved no balance. */
  halfSettled: boolean;
  accountId: string | null;
  deductionId: string | null;
  cost: string | null;
};

export const streamsRouter = router({
  live: viewerProcedure.subscription(async function* ({ ctx, signal }) {
    const read = async () => {
      const [streams, proven] = await Promise.all([readStreams(), readProven()]);
      return { at: new Date(), streams, proven };
    };
    yield* every(read, LIVE_MS, { ctx, signal });
  }),
  unaccounted: viewerProcedure
    .input(z.object({ shard: shardInput }))
    .query(async ({ ctx, input }): Promise<{ entries: Unaccounted[]; more: boolean }> => {
      const { entries, more } = await domain.listUnaccounted(
        await ctx.billing(),
        { shards: [input.shard] },
        UNACCOUNTED_MAX,
      );
      return { entries: entries.map(unaccountedOf), more };
    }),
  /** Counts, and removes nothing; it only brings the proven mark up to date. */
  previewCleanup: adminProcedure
    .input(z.object({ shards: shardsInput, maxAgeHours: z.number().min(0).max(87_600) }))
    .mutation(async ({ ctx, input }): Promise<CleanupPreview> => {
      const { maxPerShard } = domain.defaultCleanupSettings;
      const age = { maxAgeMs: Math.round(input.maxAgeHours * HOUR_MS), maxPerShard };
      return await domain.previewCleanup(await ctx.billing(), { ...age, ...shardsOf(input) });
    }),
  /** With the preview's cut-off: what became old enough since stays. */
  cleanup: adminProcedure
    .input(
      z.object({
        ...actInput,
        shards: shardsInput,
        cutOffMs: z.number().int().min(0),
      }),
    )
    .mutation(async ({ ctx, input }): Promise<{ operationId: string }> => {
      const { maxAgeMs, maxPerShard } = domain.defaultCleanupSettings;
      const settings = { maxAgeMs, maxPerShard, cutOffMs: input.cutOffMs, ...shardsOf(input) };
      const act = actOf(ctx.operator, input);
      return { operationId: await domain.startCleanup(await ctx.billing(), settings, act) };
    }),
});

function shardsOf({ shards }: { shards: number[] | null }): { shards?: number[] } {
  return shards === null ? {} : { shards };
}

function unaccountedOf({ raw, entry, standing }: StandingEntry): Unaccounted {
  return {
    name: `${domain.streamKey(raw.shard)}/${raw.entryId}`,
    shard: raw.shard,
    entryId: raw.entryId,
    halfSettled: standing === "half_settled",
    accountId: entry?.accountId ?? null,
    deductionId: entry?.kind === "usage" ? entry.deductionId : null,
    cost: entry?.kind === "usage" ? domain.formatUnits(entry.costNanos) : null,
  };
}
