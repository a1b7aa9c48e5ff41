// What was delivered to a consumer and not acked.
import type { Billing, PendingEntry, PendingFilters } from "@drawdown/billing";
import { z } from "zod";
import { domain } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { readFields } from "@/server/raw-entry.ts";
import { billing as openBilling } from "@/server/stores.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

const EXPORT_PAGE = 500;

/** As they stand in the address of the page. */
export const pendingFilters = z
  .object({
    id: filterText,
    shard: z.coerce.number().int().min(0).max(65_535).optional(),
    consumer: filterText,
    /** Seconds since the entry was appended. */
    older: z.coerce.number().min(0).max(1e9).optional(),
  })
  .transform(
    (asked): PendingFilters =>
      given({
        ids: asked.id === undefined ? undefined : [asked.id],
        shards: asked.shard === undefined ? undefined : [asked.shard],
        consumer: asked.consumer,
        olderThanMs: asked.older === undefined ? undefined : asked.older * 1_000,
      }),
  );

const window = z.object({ filters: pendingFilters, pin: pinInput });
const name = z.string().regex(/^stream:deductions:\d{1,5}\/\d{1,20}-\d{1,20}$/);

export const pendingRouter = router({
  list: viewerProcedure.input(z.object({ filters: pendingFilters, page: pageInput })).query(async ({ ctx, input }) => {
    const page = await domain.pagePending(await ctx.billing(), input.filters, given(input.page));
    return { ...page, rows: page.rows.map(rowOf) };
  }),
  count: viewerProcedure
    .input(window)
    .query(async ({ ctx, input }) => await domain.countPending(await ctx.billing(), input.filters, input.pin)),
  newer: viewerProcedure
    .input(window)
    .query(async ({ ctx, input }) => await domain.countNewerPending(await ctx.billing(), input.filters, input.pin)),
  /** One with its bytes; null when it is pending no more. */
  one: viewerProcedure.input(z.object({ name })).query(async ({ ctx, input }) => {
    const entry = await readOne(await ctx.billing(), input.name);
    return entry && { ...rowOf(entry), rawFields: readFields(entry.raw.fields) };
  }),
});

async function readOne(billing: Billing, wanted: string): Promise<PendingEntry | null> {
  const shard = domain.shardOfStream(wanted.split("/")[0] ?? "");
  if (shard === undefined || shard >= billing.numShards) return null;
  const { entries } = await domain.listPending(billing, { ids: [wanted], shards: [shard] }, 1);
  return entries[0] ?? null;
}

export type PendingRow = ReturnType<typeof rowOf>;

/** Amounts are decimal text of units. */
function rowOf({ shard, entryId, consumer, live, idleMs, deliveries, entry, unreadable }: PendingEntry) {
  const usage = entry?.kind === "usage" ? entry : undefined;
  return {
    name: `${domain.streamKey(shard)}/${entryId}`,
    shard,
    entryId,
    consumer,
    live,
    idleMs,
    deliveries,
    appendedAt: new Date(Number(entryId.split("-")[0])),
    kind: entry?.kind ?? null,
    deductionId: usage?.deductionId ?? null,
    accountId: entry?.accountId ?? null,
    cost: usage === undefined ? null : domain.formatUnits(usage.costNanos),
    accountSeq: entry?.accountSeq?.toString() ?? null,
    unreadable: unreadable ?? null,
  };
}

export const pendingExport: Export = {
  columns: [
    "name",
    "shard",
    "entryId",
    "appendedAt",
    "consumer",
    "live",
    "idleMs",
    "deliveries",
    "kind",
    "deductionId",
    "accountId",
    "cost",
    "accountSeq",
    "unreadable",
  ],
  rows: async function* ({ filters: asked, page: { pin } }) {
    const filters = pendingFilters.parse(asked);
    const billing = await openBilling();
    let request: { limit: number; cursor?: string; pin?: string } = { limit: EXPORT_PAGE, ...given({ pin }) };
    for (;;) {
      const page = await domain.pagePending(billing, filters, request);
      yield* page.rows.map(rowOf);
      if (page.next === null) return;
      request = { limit: EXPORT_PAGE, cursor: page.next, pin: page.pin };
    }
  },
};
