// What could not be settled and is kept with its bytes and its reason.
import type { Db, DeadLetterFilters } from "@drawdown/db";
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { books, domain } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterMoment, filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { readRaw } from "@/server/raw-entry.ts";
import { router, supportProcedure, viewerProcedure } from "@/server/trpc.ts";

const MAX_LETTERS = 100_000;

/** As they stand in the address of the page. */
export const letterFilters = z
  .object({
    id: filterText,
    state: z.enum(["open", "discarded", "replayed"]).optional(),
    class: filterText,
    account: filterText,
    shard: z.coerce.number().int().min(0).max(65_535).optional(),
    from: filterMoment,
    to: filterMoment,
  })
  .transform(
    (asked): DeadLetterFilters =>
      given({
        id: asked.id,
        state: asked.state,
        errorClass: asked.class,
        accountId: asked.account,
        streamKey: asked.shard === undefined ? undefined : domain.streamKey(asked.shard),
        from: asked.from,
        to: asked.to,
      }),
  );

const window = z.object({ filters: letterFilters, pin: pinInput });
const ids = z
  .array(z.string().regex(/^\d{1,18}$/))
  .min(1)
  .max(MAX_LETTERS);
const move = z.object({ ids, ...actInput });

export const deadLettersRouter = router({
  list: viewerProcedure
    .input(z.object({ filters: letterFilters, page: pageInput }))
    .query(({ ctx, input }) => books.pageDeadLetters(ctx.db, input.filters, given(input.page))),
  count: viewerProcedure
    .input(window)
    .query(({ ctx, input }) => books.countDeadLetterPage(ctx.db, input.filters, input.pin)),
  newer: viewerProcedure
    .input(window)
    .query(({ ctx, input }) => books.countNewerDeadLetters(ctx.db, input.filters, input.pin)),
  /** One with its bytes; null when there is none of this id. */
  one: viewerProcedure.input(z.object({ id: z.string().max(100) })).query(async ({ ctx, input }) => {
    const found = await books.readDeadLetter(ctx.db, input.id);
    if (found === undefined) return null;
    const { raw, ...letter } = found;
    return { ...letter, ...readRaw(raw) };
  }),
  /** All that the filters find in the window: the frozen set of an act. */
  choose: supportProcedure.input(window).mutation(({ ctx, input }) => chooseLetters(ctx.db, input.filters, input.pin)),
  discard: supportProcedure
    .input(move)
    .mutation(async ({ ctx, input }) =>
      domain.discardLetters(await ctx.billing(), input.ids, actOf(ctx.operator, input)),
    ),
  restore: supportProcedure
    .input(move)
    .mutation(async ({ ctx, input }) =>
      domain.restoreLetters(await ctx.billing(), input.ids, actOf(ctx.operator, input)),
    ),
});

/** The ids of all letters that a list finds in its window, for an act on them. Refuses more than one act may have. */
export async function chooseLetters(db: Db, filters: DeadLetterFilters, pin: string): Promise<string[]> {
  const chosen: string[] = [];
  for await (const { id } of books.everyRow((request) => books.pageDeadLetters(db, filters, { pin, ...request }))) {
    chosen.push(id);
    if (chosen.length > MAX_LETTERS)
      throw new TRPCError({
        code: "BAD_REQUEST",
        message: `More than ${MAX_LETTERS} letters match: narrow them down.`,
      });
  }
  return chosen;
}

export const deadLettersExport: Export = {
  columns: [
    "id",
    "state",
    "createdAt",
    "lastAttemptAt",
    "errorClass",
    "errorMessage",
    "attempts",
    "deductionId",
    "accountId",
    "cost",
    "accountSeq",
    "balanceBefore",
    "balanceAfter",
    "streamKey",
    "entryId",
    "fields",
    "history",
  ],
  rows: ({ db, filters: asked, page: { order, ...page } }) =>
    books.everyRow((request) => books.pageDeadLetters(db, letterFilters.parse(asked), { ...page, ...request }), order),
};
