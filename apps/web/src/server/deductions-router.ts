// usage_log, as its page shows it.
import type { DeductionFilters } from "@drawdown/db";
import { z } from "zod";
import { books, domain } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterMoment, filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

/** A request id may be of several deductions: none of them hides the one that has it as its own. */
const SAME_ID_MAX = 500;

/** As they stand in the address of the page. */
const filters = z
  .object({
    account: filterText,
    key: filterText,
    provider: filterText,
    model: filterText,
    from: filterMoment,
    to: filterMoment,
    check: z.enum(["ok", "missing", "mismatch"]).optional(),
    source: z.enum(["provider", "partial", "estimated", "none", "reported", "unknown"]).optional(),
    settled: z.enum(["yes", "no"]).optional(),
    flag: z.enum(["customer_type_mismatch", "older_producer"]).optional(),
    id: filterText,
  })
  .transform(
    (asked): DeductionFilters =>
      given({
        accountId: asked.account,
        virtualKey: asked.key,
        provider: asked.provider,
        model: asked.model,
        from: asked.from,
        to: asked.to,
        balanceCheck: asked.check,
        usageSource: asked.source,
        settled: asked.settled === undefined ? undefined : asked.settled === "yes",
        customerTypeMismatch: asked.flag === "customer_type_mismatch" ? true : undefined,
        olderProducer: asked.flag === "older_producer" ? true : undefined,
        id: asked.id,
      }),
  );

export const deductionsRouter = router({
  list: viewerProcedure
    .input(z.object({ filters, page: pageInput }))
    .query(({ ctx, input }) => books.listDeductions(ctx.db, input.filters, given(input.page))),
  count: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countDeductions(ctx.db, input.filters, input.pin)),
  newer: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countNewerDeductions(ctx.db, input.filters, input.pin)),
  /** The row as it is now, its metadata as text, why it cost that, and what can still be given back; null when no row has this id. */
  one: viewerProcedure
    .input(z.object({ deductionId: z.string().min(1).max(512) }))
    .query(async ({ ctx, input: { deductionId } }) => {
      const { rows } = await books.listDeductions(ctx.db, { id: deductionId }, { limit: SAME_ID_MAX });
      const deduction = rows.find((row) => row.deductionId === deductionId);
      if (deduction === undefined) return null;
      const [why, refundable, { metadata }] = await Promise.all([
        domain.explainCost(ctx.db, deduction),
        domain.readRefundable(ctx, deductionId),
        books.readUsageTexts(ctx.db, deduction.id, null),
      ]);
      return { deduction: { ...deduction, metadata }, why, refundable: refundable ?? null };
    }),
});

export const deductionsExport: Export = {
  columns: [
    "deductionId",
    "createdAt",
    "accountId",
    "ownerName",
    "virtualKey",
    "provider",
    "model",
    "cost",
    "currency",
    "balanceBefore",
    "balanceAfter",
    "accountSeq",
    "inputTokens",
    "outputTokens",
    "totalTokens",
    "usageSource",
    "balanceCheck",
    "requestId",
    "streamKey",
    "streamEntryId",
    "consumer",
    "deliveryCount",
    "settledAt",
    "metadata",
  ],
  rows: ({ db, filters: asked, page: { order, ...window } }) =>
    books.everyRow((request) => books.listDeductions(db, filters.parse(asked), { ...window, ...request }), order),
};
