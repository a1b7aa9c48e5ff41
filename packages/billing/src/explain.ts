// Why a row of usage_log cost what it cost: its tokens by kind × the price that held then. The row names its price; the price's own row
// says the rates, and the cost is reckoned again as it was the first time. Only when that gives the very cost of the row it is an
// explanation: all else is said to be none, and why.
import { type Db, modelPrice } from "@drawdown/db";
import { inArray } from "drizzle-orm";
import { formatPrice, formatUnits, parsePrice, parseUnits } from "./money.ts";
import { postgresFailure } from "./postgres.ts";
import { type Cost, costOf, type Explanation, type Price } from "./price.ts";
import { type PriceRow, readPrice } from "./price-list.ts";
import type { Usage } from "./usage.ts";

/** What is needed of a row: amounts and counts are decimal text. */
export type CostlyRow = {
  cost: string;
  accountSeq: string | null;
  usageSource: string | null;
  inputTokens: string | null;
  outputTokens: string | null;
  totalTokens: string | null;
  metadata: unknown;
};

export type CostExplanation =
  /** `sum`: of the lines, 12 decimals, unrounded. `counted`: the tokens are not the provider's own figures, but counted by the gateway. */
  | { outcome: "explained"; cost: string; sum: string; counted: boolean; explanation: Explanation }
  /**
   * `older_producer`: reckoned elsewhere. `external`: another gateway named the amount. `no_price`: the row names no price. `price_gone`: the
   * price's row was deleted. `differs`: its rates now, or the counts that are kept, give another cost; `explanation` is that one.
   */
  | {
      outcome: "unexplained";
      cost: string;
      why: "older_producer" | "external" | "no_price" | "price_gone" | "differs";
      explanation: Explanation | null;
    };

type Part = Exclude<keyof Usage, "inputTokens" | "outputTokens" | "totalTokens">;

/** The counts that usage_log has no columns for, by their names in its metadata. */
const partNames = {
  cachedInputTokens: "cached_input_tokens",
  cacheWriteTokens: "cache_write_tokens",
  cacheWrite1hTokens: "cache_write_1h_tokens",
  reasoningTokens: "reasoning_tokens",
  inputAudioTokens: "input_audio_tokens",
  cachedInputAudioTokens: "cached_input_audio_tokens",
  outputAudioTokens: "output_audio_tokens",
  inputImageTokens: "input_image_tokens",
  cachedInputImageTokens: "cached_input_image_tokens",
  outputImageTokens: "output_image_tokens",
} as const satisfies Record<Part, string>;

const parts = Object.entries(partNames) as [Part, string][];

/** For the metadata of a charge: which price it was, and the counts without a column, as far as there are any. */
export function metadataOf({ explanation }: Cost, usage: Usage): { price_id: string; usage?: Record<string, number> } {
  const told = parts.flatMap(([part, name]) => (usage[part] ? [[name, usage[part]] as const] : []));
  return { price_id: explanation.price_id, ...(told.length > 0 ? { usage: Object.fromEntries(told) } : {}) };
}

/** Explains rows in their order, with one look at the prices. Throws `postgres_unavailable`. */
export async function explainCosts(db: Db, rows: readonly CostlyRow[]): Promise<CostExplanation[]> {
  const ids = [...new Set(rows.flatMap((row) => priceIdOf(row) ?? []))];
  const prices = await readPrices(db, ids);
  return rows.map((row) => explain(row, prices));
}

/** Explains one row. Throws `postgres_unavailable`. */
export async function explainCost(db: Db, row: CostlyRow): Promise<CostExplanation> {
  const [explained] = await explainCosts(db, [row]);
  if (explained === undefined) throw new TypeError("a row was explained without an answer");
  return explained;
}

function explain(row: CostlyRow, prices: ReadonlyMap<string, Price>): CostExplanation {
  const cost = formatUnits(parseUnits(row.cost));
  const id = priceIdOf(row);
  const unexplained = (
    why: (CostExplanation & { outcome: "unexplained" })["why"],
    explanation: Explanation | null = null,
  ) => ({ outcome: "unexplained", cost, why, explanation }) as const;
  if (id === undefined) {
    if (row.accountSeq === null) return unexplained("older_producer");
    return unexplained(row.usageSource === "reported" ? "external" : "no_price");
  }
  const price = prices.get(id);
  if (price === undefined) return unexplained("price_gone");
  const reckoned = reckon(price, row);
  if (reckoned === undefined) return unexplained("differs");
  const { costNanos, explanation } = reckoned;
  if (formatUnits(costNanos) !== cost) return unexplained("differs", explanation);
  const sum = explanation.lines.reduce((picos, line) => picos + parsePrice(line.amount), 0n);
  const counted = row.usageSource === "estimated" || row.usageSource === "partial";
  return { outcome: "explained", cost, sum: formatPrice(sum), counted, explanation };
}

/** As the gateway does: counts whose parts do not add up are priced by their totals. */
function reckon(price: Price, row: CostlyRow): Cost | undefined {
  const inputTokens = Number(row.inputTokens ?? 0);
  const outputTokens = Number(row.outputTokens ?? 0);
  const totals: Usage = {
    inputTokens,
    outputTokens,
    totalTokens: Number(row.totalTokens ?? inputTokens + outputTokens),
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
  };
  for (const usage of [{ ...totals, ...partsOf(row.metadata) }, totals])
    try {
      return costOf(price, usage);
    } catch {} // the next one, or none
  return undefined;
}

function partsOf(metadata: unknown): Partial<Usage> {
  const usage = fieldsOf(fieldsOf(metadata)["usage"]);
  return Object.fromEntries(
    parts.flatMap(([part, name]) => (typeof usage[name] === "number" ? [[part, usage[name]]] : [])),
  );
}

function priceIdOf({ metadata }: CostlyRow): string | undefined {
  const id = fieldsOf(metadata)["price_id"];
  return typeof id === "string" && /^\d{1,18}$/.test(id) ? id : undefined;
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** A row that cannot be read is no price. */
function tryReading(row: PriceRow): [string, Price][] {
  try {
    return [[row.id.toString(), readPrice(row)]];
  } catch {
    return [];
  }
}

async function readPrices(db: Db, ids: readonly string[]): Promise<Map<string, Price>> {
  if (ids.length === 0) return new Map();
  try {
    const rows = await db
      .select()
      .from(modelPrice)
      .where(inArray(modelPrice.id, ids.map(BigInt)));
    return new Map(rows.flatMap((row) => tryReading(row)));
  } catch (error) {
    throw postgresFailure(error);
  }
}
