// What a call costs, and what it would cost after a price is set or removed: the same look-up and the same arithmetic as a charge, and
// nothing is written.
import { modelPrice } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { formatUnits } from "./money.ts";
import { postgresFailure } from "./postgres.ts";
import { costOf, type Explanation } from "./price.ts";
import { checkPrices, type PriceToSet } from "./price-acts.ts";
import { buildPriceList, type PriceQuery, type PriceRow, resolvePrice } from "./price-list.ts";
import type { Usage } from "./usage.ts";

/** `cost` is decimal text of units with 9 decimals. */
export type CallCost = { cost: string; explanation: Explanation };

export type PriceChange = { set: PriceToSet } | { remove: string };

export type PriceChangePreview =
  /** At `at`, when the price first holds: the call as it is priced without the change, and with it. Null: it has no price, and is refused. */
  | { outcome: "previewed"; at: Date; before: CallCost | null; after: CallCost | null }
  | { outcome: "refused"; message: string }
  | { outcome: "unknown_price" };

/**
 * What the call costs at a moment; null when it has no price. Throws `postgres_unavailable`, and `invalid_request` or `invalid_amount` for
 * a usage that has no cost.
 */
export async function priceCall(
  billing: Pick<Billing, "db">,
  query: PriceQuery,
  usage: Usage,
): Promise<CallCost | null> {
  return costIn(await readRows(billing), query, usage);
}

/** What the change would do to the cost of a call. Throws as `priceCall`. */
export async function previewPriceChange(
  billing: Pick<Billing, "db">,
  change: PriceChange,
  usage: Usage,
): Promise<PriceChangePreview> {
  const rows = await readRows(billing);
  if ("set" in change) {
    const row = rowOf(change.set);
    const problem = problemOf(change.set, row);
    if (problem !== undefined) return { outcome: "refused", message: problem };
    return compare(row, { before: rows, after: [...rows, row] }, usage);
  }
  const row = rows.find(({ id }) => id.toString() === change.remove);
  if (row === undefined) return { outcome: "unknown_price" };
  return compare(row, { before: rows, after: rows.filter((other) => other !== row) }, usage);
}

function compare(
  row: PriceRow,
  { before, after }: { before: readonly PriceRow[]; after: readonly PriceRow[] },
  usage: Usage,
): PriceChangePreview {
  const { provider, model, customerTypeId, currency } = row;
  const at = firstMoment(row);
  const query = { provider, model, customerTypeId, currency, at };
  return { outcome: "previewed", at, before: costIn(before, query, usage), after: costIn(after, query, usage) };
}

function costIn(rows: readonly PriceRow[], query: PriceQuery, usage: Usage): CallCost | null {
  const found = resolvePrice(buildPriceList(rows), query);
  if (found === undefined) return null;
  const { costNanos, explanation } = costOf(found.price, usage);
  return { cost: formatUnits(costNanos), explanation };
}

/** From now on, the first moment at which the row holds: of a row with hours, in its hours. */
function firstMoment({ validFrom, windowStart }: PriceRow): Date {
  const from = Math.max(validFrom.getTime(), Date.now());
  if (windowStart === null) return new Date(from);
  const start = Date.parse(`${new Date(from).toISOString().slice(0, 10)}T${windowStart.padEnd(8, ":00")}Z`);
  return new Date(start >= from ? start : start + DAY_MS);
}

const DAY_MS = 86_400_000;

/** Above every row that is there. */
const NOT_YET_ID = 9_223_372_036_854_775_807n;

function rowOf(price: PriceToSet): PriceRow {
  const { window, customerTypeId = null, currency = "USD", validFrom = new Date() } = price;
  return {
    ...{ tokenPrice: null, inputPrice: null, cachedInputPrice: null, cacheWritePrice: null, cacheWrite1hPrice: null },
    ...{ outputPrice: null, requestPrice: null, detailPrices: null, tiers: null, match: null },
    ...price,
    id: NOT_YET_ID,
    customerTypeId,
    currency,
    validFrom,
    windowStart: window?.start ?? null,
    windowEnd: window?.end ?? null,
    source: "operator",
  };
}

function problemOf(price: PriceToSet, row: PriceRow): string | undefined {
  try {
    checkPrices(price);
  } catch (error) {
    if (error instanceof BillingError) return error.publicMessage;
    throw error;
  }
  return buildPriceList([row]).problems[0]?.message;
}

async function readRows({ db }: Pick<Billing, "db">): Promise<PriceRow[]> {
  try {
    return await db.select().from(modelPrice);
  } catch (error) {
    throw postgresFailure(error);
  }
}
