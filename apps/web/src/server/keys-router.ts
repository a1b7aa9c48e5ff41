// API keys: what each may do, and making, changing and revoking one. A secret is in the answer to `create`, once, and nowhere else.
import type { KeyChanges } from "@drawdown/billing";
import type { KeyFilters } from "@drawdown/db";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { books, domain } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { adminProcedure, router, viewerProcedure } from "@/server/trpc.ts";

/** As they stand in the address of the page. */
const filters = z
  .object({
    search: filterText,
    status: z.enum(["active", "expired", "revoked"]).optional().catch(undefined),
    account: filterText,
  })
  .transform((asked): KeyFilters => given({ search: asked.search, status: asked.status, accountId: asked.account }));

const period = z.enum(["day", "week", "month"]);

/** What is absent stays as it is; null clears it. Its meaning is judged by packages/billing. */
const changes = z
  .object({
    name: z.string().max(2_000).nullish(),
    expiresAt: z.date().nullish(),
    allowedModels: z.array(z.string().max(2_000)).max(1_000).nullish(),
    spendLimit: z
      .object({ limit: z.string().trim().max(64), period })
      .transform(({ limit, period: of }) => ({ period: of, limitNanos: domain.parseUnits(limit) }))
      .nullish(),
    requestsPerMinute: z.number().nullish(),
    holdPolicy: z.enum(["available", "worst_case"]).nullish(),
    leavePolicy: z.enum(["drain", "cut"]).nullish(),
  })
  .transform((asked): KeyChanges => given(asked));

const virtualKey = z.string().max(512);
const account = z.object({ id: z.uuid(), ownerId: z.uuid(), type: z.enum(["user", "tenant"]) });
const whose = z.object({ accountId: z.uuid().optional(), userId: z.uuid().optional() });

export const keysRouter = router({
  list: viewerProcedure
    .input(z.object({ filters, page: pageInput }))
    .query(({ ctx, input }) => books.pageKeys(ctx.db, input.filters, given(input.page))),
  count: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countKeys(ctx.db, input.filters, input.pin)),
  newer: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countNewerKeys(ctx.db, input.filters, input.pin)),
  /** What a key drew in the present period of its limit, which the row names. */
  spent: viewerProcedure.input(z.object({ account, virtualKey, period })).query(async ({ ctx, input }) => {
    const { since, spentNanos } = await domain.readSpent(
      await ctx.billing(),
      input.account,
      input.virtualKey,
      input.period,
    );
    return { since, spent: domain.formatUnits(spentNanos) };
  }),
  create: adminProcedure
    .input(z.object({ whose, limits: changes, ...actInput }))
    .mutation(({ ctx, input: { whose: payer, limits, ...why } }) => {
      // A limit that is cleared on a new key is one that it has not.
      const set = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== null));
      return domain.createKey(ctx, { ...given(payer), ...set }, actOf(ctx.operator, why));
    }),
  update: adminProcedure
    .input(z.object({ virtualKey, changes, ...actInput }))
    .mutation(({ ctx, input }) => domain.updateKey(ctx, input.virtualKey, input.changes, actOf(ctx.operator, input))),
  revoke: adminProcedure
    .input(z.object({ virtualKey, ...actInput }))
    .mutation(({ ctx, input }) => domain.revokeKey(ctx, input.virtualKey, actOf(ctx.operator, input))),
});

export const keysExport: Export = {
  columns: [
    "virtualKey",
    "name",
    "status",
    "userId",
    "userName",
    "accountId",
    "ownerId",
    "accountType",
    "allowedModels",
    "spendLimit",
    "spendPeriod",
    "requestsPerMinute",
    "holdPolicy",
    "leavePolicy",
    "createdAt",
    "createdBy",
    "expiresAt",
    "revokedAt",
  ],
  rows: ({ db, filters: asked, page: { order, ...window } }) =>
    books.everyRow((request) => books.pageKeys(db, filters.parse(asked), { ...window, ...request }), order),
};
