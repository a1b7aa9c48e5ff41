// One deduction's story from any id, with its exact bytes and why it cost what it cost.
import type { Billing, CostExplanation, Trace } from "@drawdown/billing";
import type { UsageTexts } from "@drawdown/db";
import { z } from "zod";
import { books, domain } from "@/server/domain.ts";
import { type RawField, readFields, readRaw } from "@/server/raw-entry.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

export type Traced = Trace & {
  /** The entry as it stands in its stream, else as the dead letter keeps it; null when neither has it. */
  raw: { fields: RawField[]; base64?: string } | null;
  /** Its rows to the last digit: what is shown of them. */
  texts: UsageTexts;
  /** Null for what cost nothing, or is not in the books yet. */
  why: CostExplanation | null;
};

export const traceRouter = router({
  of: viewerProcedure
    .input(z.object({ id: z.string().min(1).max(1_000) }))
    .query(async ({ ctx, input }): Promise<Traced> => {
      const billing = await ctx.billing();
      const found = await domain.trace(billing, input.id);
      const { usageLog, audit } = found;
      const [texts, raw, why] = await Promise.all([
        books.readUsageTexts(ctx.db, idOf(usageLog), idOf(audit)),
        readBytes(billing, found),
        usageLog === null ? null : domain.explainCost(ctx.db, costlyRow(usageLog)),
      ]);
      return { ...found, texts, raw, why };
    }),
});

function idOf(row: Record<string, unknown> | null): string | null {
  return row === null ? null : String(row["id"]);
}

async function readBytes(billing: Billing, { hops, deadLetter }: Trace): Promise<Traced["raw"]> {
  const { stream, entry_id: entryId } = hops.find(({ name }) => name === "Stream entry")?.detail ?? {};
  if (typeof stream === "string" && typeof entryId === "string") {
    const [row] = await billing.ask((redis) => redis.xrangeBuffer(stream, entryId, entryId));
    if (row) return { fields: readFields(row[1]) };
  }
  if (deadLetter === null) return null;
  const letter = await books.readDeadLetter(billing.db, String(deadLetter["id"]));
  if (letter === undefined) return null;
  const { base64, rawFields } = readRaw(letter.raw);
  return { fields: rawFields ?? [], base64 };
}

function costlyRow(row: Record<string, unknown>) {
  const text = (name: string) => {
    const value = row[name];
    return typeof value === "string" || typeof value === "number" ? String(value) : null;
  };
  return {
    cost: text("cost") ?? "0",
    accountSeq: text("account_seq"),
    usageSource: text("usage_source"),
    inputTokens: text("input_tokens"),
    outputTokens: text("output_tokens"),
    totalTokens: text("total_tokens"),
    metadata: row["metadata_json"],
  };
}
