// What calls cost: the rows of the price list, what a call costs by them, and setting and removing one.
import type { PriceToSet } from "@drawdown/billing";
import type { PriceFilters } from "@drawdown/db";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { books, domain } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { adminProcedure, router, viewerProcedure } from "@/server/trpc.ts";

/** The customer type of prices for everybody. */
const EVERYBODY = "everybody";

/** As they stand in the address of the page. */
const filters = z
  .object({
    provider: filterText,
    model: filterText,
    customer: z
      .union([z.literal(EVERYBODY), z.uuid()])
      .optional()
      .catch(undefined),
    currency: filterText,
    source: z.enum(["operator", "imported"]).optional().catch(undefined),
    holds: z.enum(["now"]).optional().catch(undefined),
  })
  .transform(
    (asked): PriceFilters =>
      given({
        provider: asked.provider,
        model: asked.model,
        customerTypeId: asked.customer === EVERYBODY ? null : asked.customer,
        currency: asked.currency,
        source: asked.source,
        currentOnly: asked.holds === undefined ? undefined : true,
      }),
  );

const price = z.string().trim().min(1).max(64).optional();
const name = z.string().max(512);

/** Its meaning is judged by packages/billing, which answers in words. */
const priceToSet = z
  .object({
    provider: name,
    model: name,
    priceModel: z.enum(["per_token", "per_input_output", "per_request"]),
    customerTypeId: z.uuid().nullish(),
    currency: z.string().max(64).optional(),
    tokenPrice: price,
    inputPrice: price,
    cachedInputPrice: price,
    cacheWritePrice: price,
    cacheWrite1hPrice: price,
    outputPrice: price,
    requestPrice: price,
    detailPrices: z
      .object({
        input_audio_price: price,
        cached_input_audio_price: price,
        output_audio_price: price,
        input_image_price: price,
        cached_input_image_price: price,
        output_image_price: price,
        output_reasoning_price: price,
      })
      .transform(given)
      .optional(),
    tiers: z
      .array(
        z
          .object({
            above_input_tokens: z.number().int().min(0),
            input_price: price,
            cached_input_price: price,
            cache_write_price: price,
            cache_write_1h_price: price,
            output_price: price,
          })
          .transform(({ above_input_tokens, ...prices }) => ({ above_input_tokens, ...given(prices) })),
      )
      .max(100)
      .optional(),
    match: z
      .object({ or: z.array(z.union([z.object({ equals: name }), z.object({ starts_with: name })])).max(100) })
      .optional(),
    validFrom: z.date().optional(),
    window: z.object({ start: z.string().max(16), end: z.string().max(16) }).optional(),
  })
  .transform((asked): PriceToSet => given(asked));

const tokens = z
  .number()
  .int()
  .min(0)
  .max(2 ** 52);
/** The whole input, and its parts that were read from or written to the provider's cache. */
const call = z
  .object({ input: tokens, cached: tokens, written: tokens, output: tokens })
  .transform(({ input, cached, written, output }) => ({
    inputTokens: input,
    cachedInputTokens: cached,
    cacheWriteTokens: written,
    outputTokens: output,
    reasoningTokens: 0,
    totalTokens: input + output,
  }));

export const pricesRouter = router({
  list: viewerProcedure
    .input(z.object({ filters, page: pageInput }))
    .query(({ ctx, input }) => books.pagePrices(ctx.db, input.filters, given(input.page))),
  count: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countPrices(ctx.db, input.filters, input.pin)),
  newer: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countNewerPrices(ctx.db, input.filters, input.pin)),
  /** What a call costs now, looked up by the name that is asked for, as a gateway does. */
  cost: viewerProcedure
    .input(
      z.object({
        provider: name.optional(),
        model: name,
        customerTypeId: z.uuid().nullable(),
        currency: z.string().max(12),
        call,
      }),
    )
    .query(({ ctx, input: { provider, call: usage, ...asked } }) =>
      domain.priceCall(ctx, { ...asked, ...given({ provider }), at: new Date() }, usage),
    ),
  preview: viewerProcedure
    .input(
      z.object({ change: z.union([z.object({ set: priceToSet }), z.object({ remove: z.string().max(20) })]), call }),
    )
    .query(({ ctx, input }) => domain.previewPriceChange(ctx, input.change, input.call)),
  set: adminProcedure
    .input(z.object({ price: priceToSet, ...actInput }))
    .mutation(({ ctx, input }) => domain.setPrice(ctx, input.price, actOf(ctx.operator, input))),
  remove: adminProcedure
    .input(z.object({ id: z.string().max(20), ...actInput }))
    .mutation(({ ctx, input }) => domain.removePrice(ctx, input.id, actOf(ctx.operator, input))),
});

export const pricesExport: Export = {
  columns: [
    "id",
    "provider",
    "model",
    "customerTypeId",
    "customerType",
    "currency",
    "priceModel",
    "tokenPrice",
    "inputPrice",
    "cachedInputPrice",
    "cacheWritePrice",
    "cacheWrite1hPrice",
    "outputPrice",
    "requestPrice",
    "detailPrices",
    "tiers",
    "match",
    "validFrom",
    "windowStart",
    "windowEnd",
    "source",
    "sourceDate",
    "createdAt",
    "holds",
  ],
  rows: ({ db, filters: asked, page: { order, ...window } }) =>
    books.everyRow((request) => books.pagePrices(db, filters.parse(asked), { ...window, ...request }), order),
};
