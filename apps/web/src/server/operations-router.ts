// Who did what, when, why, to what, with what result; and the acts on acts that are under way.
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { domain } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterMoment, filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { every } from "@/server/live.ts";
import { router, supportProcedure, viewerProcedure } from "@/server/trpc.ts";

const LIVE_MS = 500;
const EXPORT_PAGE = 500;

const filters = z
  .object({
    actor: filterText,
    action: filterText,
    state: z.enum(["unfinished", "finished"]).optional(),
    from: filterMoment,
    to: filterMoment,
  })
  .transform((asked) => given(asked));

const items = z.object({ operationId: z.uuid(), outcome: z.enum(["applied", "already", "failed", "left"]).optional() });
const window = z.object({ filters, pin: pinInput });
const operationId = z.string().max(100);

export const operationsRouter = router({
  list: viewerProcedure
    .input(z.object({ filters, page: pageInput }))
    .query(({ ctx, input }) => domain.pageOperations(ctx, input.filters, given(input.page))),
  count: viewerProcedure
    .input(window)
    .query(({ ctx, input }) => domain.countOperations(ctx.db, input.filters, input.pin)),
  newer: viewerProcedure
    .input(window)
    .query(({ ctx, input }) => domain.countNewerOperations(ctx.db, input.filters, input.pin)),
  /** Null when there is none of this id. */
  one: viewerProcedure.input(z.object({ id: operationId })).query(async ({ ctx, input }) => {
    const record = await domain.readOperationRecord(ctx, input.id);
    return record === undefined ? null : { ...record, command: domain.commandOfRecord(record) };
  }),
  /** The act as it stands, until it is over. */
  live: viewerProcedure.input(z.object({ id: z.uuid() })).subscription(async function* ({ ctx, input, signal }) {
    for await (const record of every(() => domain.readOperationRecord(ctx, input.id), LIVE_MS, { ctx, signal })) {
      if (record === undefined) return;
      yield record.operation;
      if (record.operation.finishedAt !== null) return;
    }
  }),
  items: viewerProcedure
    .input(z.object({ filters: items, page: pageInput }))
    .query(({ ctx, input }) => domain.pageOperationItems(ctx, given(input.filters), given(input.page))),
  countItems: viewerProcedure
    .input(z.object({ filters: items, pin: pinInput }))
    .query(({ ctx, input }) => domain.countOperationItems(ctx.db, given(input.filters), input.pin)),
  /** Who may start an act may steer it: a cleanup is the admins'. */
  control: supportProcedure
    .input(z.object({ id: z.uuid(), wish: z.enum(["pause", "resume", "abort"]), ...actInput }))
    .mutation(async ({ ctx, input }) => {
      const billing = await ctx.billing();
      const operation = await domain.readOperation(billing.query, input.id);
      if (operation?.action !== "replay" && ctx.operator.role !== "admin")
        throw new TRPCError({
          code: "FORBIDDEN",
          message: `This needs the role admin; yours is ${ctx.operator.role}.`,
        });
      return (await domain.controlOperation(billing, input.id, input.wish, actOf(ctx.operator, input))) ?? null;
    }),
});

export const operationsExport: Export = {
  columns: [
    "id",
    "action",
    "actor",
    "role",
    "reason",
    "state",
    "counts",
    "before",
    "after",
    "result",
    "startedAt",
    "finishedAt",
  ],
  rows: async function* ({ db, filters: asked, page }) {
    const wanted = filters.parse(asked);
    let request: { limit: number; cursor?: string; pin?: string } = { limit: EXPORT_PAGE, ...page };
    for (;;) {
      const found = await domain.pageOperations({ db }, wanted, request);
      yield* found.rows;
      if (found.next === null) return;
      request = { ...request, cursor: found.next, pin: found.pin };
    }
  },
};
