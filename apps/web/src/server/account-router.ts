// One account: why its balance is what it is, its audit trail, and what belongs to it.
import type { TrailRow } from "@drawdown/billing";
import type { TrailFilters } from "@drawdown/db";
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { accountActs } from "@/server/account-acts.ts";
import { books, domain } from "@/server/domain.ts";
import type { Export, ExportRow } from "@/server/exports.ts";
import { filterMoment, filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { every } from "@/server/live.ts";
import { billing } from "@/server/stores.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

const LIVE_MS = 1_000;
const BALANCE_POINTS = 120;
const SHOWN_ROWS = 100;

const accountId = z.uuid();
const order = z.enum(["newest", "oldest"]);

/** As they stand in the address of the page. */
const filters = z
  .object({
    category: z.enum(["usage", "top_up", "refund", "adjustment"]).optional(),
    from: filterMoment,
    to: filterMoment,
    key: filterText,
    model: filterText,
  })
  .transform(({ key, ...asked }): TrailFilters => given({ ...asked, virtualKey: key }));

const ofAccount = z.object({ accountId });
const window = z.object({ accountId, filters, pin: pinInput });

const trail = {
  trail: viewerProcedure
    .input(z.object({ accountId, filters, page: pageInput }))
    .query(async ({ ctx, input }) =>
      domain.readTrail(await ctx.billing(), input.accountId, input.filters, given(input.page)),
    ),
  trailCount: viewerProcedure
    .input(window)
    .query(({ ctx, input }) => books.countTrail(ctx.db, input.accountId, input.filters, input.pin)),
  trailNewer: viewerProcedure
    .input(window)
    .query(({ ctx, input }) => books.countNewerTrail(ctx.db, input.accountId, input.filters, input.pin)),
  /** The cursor of the page that begins at a moment, or at a seq. */
  trailPlace: viewerProcedure
    .input(
      z.object({
        accountId,
        order,
        at: z.union([
          z.object({ moment: z.date() }),
          z.object({ seq: z.string().regex(/^\d{1,18}$/, "A seq is a whole number.") }),
        ]),
      }),
    )
    .query(async ({ ctx, input: { accountId: id, order: asked, at } }) =>
      "seq" in at ? books.trailCursorAtSeq(at.seq, asked) : await books.trailCursorAt(ctx.db, id, at.moment, asked),
    ),
  /** Credits that are in the books and no link yet: Redis has not acknowledged them. */
  waitingCredits: viewerProcedure
    .input(ofAccount)
    .query(({ ctx, input }) => books.listWaitingCredits(ctx.db, input.accountId)),
  /** What the chain goes on from, when its first links were exported and removed; null while all are here. */
  closing: viewerProcedure
    .input(ofAccount)
    .query(async ({ ctx, input }) => (await books.readClosing(ctx.db, input.accountId)) ?? null),
  /** The link that decided the balance as of a moment; null before the first that is kept. */
  balanceAt: viewerProcedure
    .input(z.object({ accountId, moment: z.date() }))
    .query(async ({ ctx, input }) => (await books.readBalanceAt(ctx.db, input.accountId, input.moment)) ?? null),
};

const period = z.object({ accountId, from: z.date(), to: z.date() });
const zone = z.string().max(100).refine(isZone, "There is no such time zone.");

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

const figures = {
  balanceOverTime: viewerProcedure
    .input(period)
    .query(({ ctx, input }) => books.readBalanceOverTime(ctx.db, input.accountId, input, BALANCE_POINTS)),
  spend: viewerProcedure
    .input(period.extend({ zone }))
    .query(({ ctx, input }) => books.readSpend(ctx.db, input.accountId, input, input.zone)),
};

const belongings = {
  keys: viewerProcedure
    .input(ofAccount)
    .query(({ ctx, input }) => books.pageKeys(ctx.db, { accountId: input.accountId }, { limit: SHOWN_ROWS })),
  refusals: viewerProcedure.input(ofAccount).query(({ ctx, input }) => books.listRefusals(ctx.db, input.accountId)),
  uncaptured: viewerProcedure
    .input(ofAccount)
    .query(({ ctx, input }) => books.pageUncaptured(ctx.db, { accountId: input.accountId }, { limit: SHOWN_ROWS })),
  operations: viewerProcedure
    .input(ofAccount)
    .query(({ ctx, input }) => domain.listAccountOperations(ctx, input.accountId)),
};

export const accountRouter = router({
  /** By the account's or its owner's id; null for what is neither. */
  header: viewerProcedure
    .input(z.object({ id: z.string().max(200) }))
    .query(async ({ ctx, input }) => (await books.readAccountHeader(ctx.db, input.id)) ?? null),
  live: viewerProcedure.input(ofAccount).subscription(async function* ({ ctx, input, signal }) {
    const read = async () => {
      const standing = await domain.readAccountStanding(await ctx.billing(), input.accountId);
      if (standing === undefined) throw new TRPCError({ code: "NOT_FOUND", message: "There is no such account." });
      return standing;
    };
    yield* every(read, LIVE_MS, { ctx, signal });
  }),
  ...trail,
  ...figures,
  ...belongings,
  ...accountActs,
});

export const trailExport: Export = {
  columns: [
    "seq",
    "movedAt",
    "createdAt",
    "kind",
    "category",
    "amount",
    "step",
    "balanceBefore",
    "balanceAfter",
    "deductionId",
    "provider",
    "model",
    "virtualKey",
    "inputTokens",
    "outputTokens",
    "totalTokens",
    "requestId",
    "reason",
    "actor",
    "reference",
    "source",
    "creditsVersion",
    "streamKey",
    "streamEntryId",
    "appliedAt",
    "problems",
    "waiting",
  ],
  rows: async function* ({ filters: asked, page: { order: wanted, ...pinned } }) {
    const { account, ...rest } = asked;
    const id = accountId.parse(account);
    const open = await billing();
    const list = (request: { limit: number }) =>
      domain.readTrail(open, id, filters.parse(rest), { ...pinned, ...request });
    for await (const row of books.everyRow(list, wanted)) yield exportRow(row);
  },
};

function exportRow({ usage, problems, waiting, ...link }: TrailRow): ExportRow {
  const { provider, model, virtualKey, inputTokens, outputTokens, totalTokens, requestId } = usage ?? {};
  return {
    ...link,
    ...{ provider, model, virtualKey, inputTokens, outputTokens, totalTokens, requestId },
    problems: problems
      .map(({ kind, message, accepted }) => `${kind}: ${message}${accepted ? " (accepted)" : ""}`)
      .join("; "),
    waiting: waiting.map(({ seq, name, standing, amount }) => `${seq} ${name} ${standing} ${amount}`).join("; "),
  };
}
