// Settling again what did not settle. First the dry run, which freezes the targets by their names; then exactly those, wherever they are by
// then: what arrived since is none of them.
import type { PlannedTarget, ReplaySelection, TargetClass } from "@drawdown/billing";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { chooseLetters, letterFilters } from "@/server/dead-letters-router.ts";
import { domain } from "@/server/domain.ts";
import { pinInput } from "@/server/list-input.ts";
import { pendingFilters } from "@/server/pending-router.ts";
import { type Context, router, supportProcedure } from "@/server/trpc.ts";

const MAX_TARGETS = 100_000;
/** Targets of each class that a preview shows. */
const SHOWN = 50;

/** A dead letter by its id, an entry as `stream:deductions:3/1700000000000-0`. */
const names = z.array(z.string().min(1).max(100)).min(1).max(MAX_TARGETS);

const choice = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("named"), ids: names }),
  /** All that a list finds in its window. */
  z.object({ kind: z.literal("dead_letters"), filters: letterFilters, pin: pinInput }),
  z.object({ kind: z.literal("pending"), filters: pendingFilters, pin: pinInput }),
  z.object({ kind: z.literal("unaccounted"), shards: z.array(z.number().int().min(0)).optional() }),
  /** What failed of an earlier replay. */
  z.object({ kind: z.literal("failed"), operationId: z.uuid() }),
]);

export type ReplayChoice = z.input<typeof choice>;

export const replaysRouter = router({
  /** Asks, and changes nothing of what it looks at. It is no query because the ids of many rows fit into no address. */
  preview: supportProcedure.input(choice).mutation(async ({ ctx, input }) => {
    const billing = await ctx.billing();
    if (input.kind === "unaccounted") await domain.proveAll(billing);
    const { targets, classes, missing } = await domain.planReplay(billing, await selectionOf(ctx, input));
    return { names: targets.map(({ name }) => name), classes, missing, shown: sample(targets) };
  }),
  start: supportProcedure.input(z.object({ names, ...actInput })).mutation(async ({ ctx, input }) => {
    const selection = { kind: "named" as const, ids: input.names };
    const { operationId } = await domain.startReplay(await ctx.billing(), selection, actOf(ctx.operator, input));
    return { operationId };
  }),
});

async function selectionOf(ctx: Context, chosen: z.output<typeof choice>): Promise<ReplaySelection> {
  switch (chosen.kind) {
    case "named":
      return { kind: "named", ids: chosen.ids };
    case "dead_letters":
      return { kind: "named", ids: await chooseLetters(ctx.db, chosen.filters, chosen.pin) };
    case "pending":
      return { kind: "pending", ...domain.withinPin(chosen.filters, chosen.pin) };
    case "unaccounted":
      return { kind: "unaccounted", ...(chosen.shards === undefined ? {} : { shards: chosen.shards }) };
    case "failed":
      return { kind: "failed", operationId: chosen.operationId };
  }
}

/** The first few of each class. */
function sample(targets: readonly PlannedTarget[]) {
  const shown: Partial<Record<TargetClass, PlannedTarget[]>> = {};
  for (const target of targets) {
    const ofClass = (shown[target.class] ??= []);
    if (ofClass.length < SHOWN) ofClass.push(target);
  }
  return shown;
}
