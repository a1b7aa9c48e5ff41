// What an operator does to one account. Expected answers are values; each change is an act on record, once for each `actId`.
import type { AccountActOutcome } from "@drawdown/billing";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { books, domain } from "@/server/domain.ts";
import { adminProcedure } from "@/server/trpc.ts";

const accountId = z.uuid();
/** Decimal text: read exactly, never as a number. */
const amount = z.string().trim().min(1).max(64);
const seq = z.string().regex(/^\d{1,18}$/, "A seq is a whole number.");

function answer(outcome: AccountActOutcome) {
  if (!("account" in outcome)) return outcome;
  const { status, creditLimit, balance, currency } = outcome.account;
  return {
    outcome: outcome.outcome,
    operationId: outcome.operationId,
    account: { status, creditLimit, balance, currency },
  };
}

const status = {
  freeze: adminProcedure
    .input(z.object({ accountId, ...actInput }))
    .mutation(async ({ ctx, input }) =>
      answer(await domain.freezeAccount(ctx, input.accountId, actOf(ctx.operator, input))),
    ),
  unfreeze: adminProcedure
    .input(z.object({ accountId, ...actInput }))
    .mutation(async ({ ctx, input }) =>
      answer(await domain.unfreezeAccount(ctx, input.accountId, actOf(ctx.operator, input))),
    ),
  setLimit: adminProcedure
    .input(z.object({ accountId, limit: amount, ...actInput }))
    .mutation(async ({ ctx, input }) =>
      answer(
        await domain.setCreditLimit(ctx, input.accountId, domain.parseUnits(input.limit), actOf(ctx.operator, input)),
      ),
    ),
};

const money = {
  credit: adminProcedure
    .input(
      z.object({
        accountId,
        amount,
        category: z.enum(["top_up", "refund", "adjustment"]),
        reference: z.string().trim().min(1).max(200).optional(),
        ...actInput,
      }),
    )
    .mutation(async ({ ctx, input: { reference, category, ...input } }) => {
      const given = await domain.giveCredit(
        ctx,
        {
          accountId: input.accountId,
          amountNanos: domain.parseUnits(input.amount),
          category,
          ...(reference === undefined ? {} : { reference }),
        },
        actOf(ctx.operator, input),
      );
      if (given.outcome === "refused") return given;
      const { outcome, operationId, auditId, amount: posted, balance } = given;
      return { outcome, operationId, auditId, amount: posted, balance };
    }),
  /** Without an amount: all that is left of it. */
  refund: adminProcedure
    .input(z.object({ deductionId: z.string().min(1).max(512), amount: amount.optional(), ...actInput }))
    .mutation(async ({ ctx, input }) => {
      const nanos = input.amount === undefined ? undefined : domain.parseUnits(input.amount);
      const given = await domain.refund(ctx, input.deductionId, actOf(ctx.operator, input), nanos);
      switch (given.outcome) {
        case "not_settled":
          return { outcome: given.outcome };
        case "exceeds":
          return {
            outcome: given.outcome,
            charged: domain.formatUnits(given.chargedNanos),
            refunded: domain.formatUnits(given.refundedNanos),
          };
        case "refunded":
        case "repeated":
          return {
            outcome: given.outcome,
            operationId: given.operationId,
            amount: domain.formatUnits(given.amountNanos),
            refunded: domain.formatUnits(given.refundedNanos),
          };
      }
    }),
};

const chain = {
  accept: adminProcedure
    .input(z.object({ accountId, fromSeq: seq, toSeq: seq, ...actInput }))
    .mutation(async ({ ctx, input }) =>
      domain.acceptBreak(
        await ctx.billing(),
        { accountId: input.accountId, fromSeq: BigInt(input.fromSeq), toSeq: BigInt(input.toSeq) },
        actOf(ctx.operator, input),
      ),
    ),
  /** Compares Redis with the books; moves no money and needs no reason. */
  reconcile: adminProcedure.input(z.object({ accountId })).mutation(async ({ ctx, input }) => {
    const open = await ctx.billing();
    const account = await books.findAccount(ctx.db, input.accountId);
    return account === undefined ? null : await domain.reconcile(open, { account });
  }),
  /** Judges every link from the opening credit to Redis' balance now. */
  verifyChain: adminProcedure.input(z.object({ accountId })).mutation(async ({ ctx, input }) => {
    const { reports } = await domain.verifyChain(await ctx.billing(), { accountId: input.accountId });
    return reports[0] ?? null;
  }),
};

export const accountActs = { ...status, ...money, ...chain };
