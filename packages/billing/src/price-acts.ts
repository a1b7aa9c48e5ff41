// Prices as operators set and remove them. A price is never changed in place: a new row holds from its moment on, so that what an older
// call cost can still be explained. Postgres' constraints refuse a row from which no cost can follow; so does the reader that gateways use.
import type { DetailPrices, MatchClause, modelPrice, PriceTier } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { parsePrice } from "./money.ts";
import { type Act, actOnce, ONE_APPLIED, recordAct } from "./operations.ts";
import { constraintOf, type Query, queryOf, sqlState } from "./postgres.ts";
import type { PriceModel } from "./price.ts";
import { buildPriceList, IMPORT_SOURCE, type PriceRow } from "./price-list.ts";
import { isUuid } from "./stream.ts";

/** Prices are decimal text of currency units, a token or a request each, with at most 12 decimals. */
export type PriceToSet = {
  provider: string;
  model: string;
  priceModel: PriceModel;
  /** Null or absent: the list price. */
  customerTypeId?: string | null;
  currency?: string;
  tokenPrice?: string;
  inputPrice?: string;
  cachedInputPrice?: string;
  cacheWritePrice?: string;
  cacheWrite1hPrice?: string;
  outputPrice?: string;
  requestPrice?: string;
  detailPrices?: DetailPrices;
  tiers?: PriceTier[];
  match?: MatchClause;
  /** Absent: now. */
  validFrom?: Date;
  /** Hours of the day in UTC, `HH:MM[:SS]`; both or neither. */
  window?: { start: string; end: string };
};

/** A row of `data.model_price`. Prices are decimal text with 12 decimals. */
export type StoredPrice = Omit<typeof modelPrice.$inferSelect, "id"> & { /** A 64-bit number as text. */ id: string };

export type SetPriceOutcome =
  | { outcome: "set" | "repeated"; operationId: string; price: StoredPrice }
  | {
      outcome: "refused";
      /** `incomplete`: no cost can follow. `taken`: a row of this moment is there. `unknown_customer_type`, `invalid`: the message says. */
      reason: "incomplete" | "taken" | "unknown_customer_type" | "invalid";
      message: string;
      constraint: string | null;
    };

export type RemovePriceOutcome =
  | { outcome: "removed" | "repeated"; operationId: string; price: StoredPrice }
  | { outcome: "unknown_price" };

/** Sets a price from a moment on. Throws `invalid_request` without actor or reason, `postgres_unavailable`. */
export async function setPrice(billing: Pick<Billing, "db">, price: PriceToSet, act: Act): Promise<SetPriceOutcome> {
  const set = async (query: Query, once: Required<Act>): Promise<SetPriceOutcome> => {
    const row = await insert(query, price);
    const [problem] = buildPriceList([{ ...row, id: BigInt(row.id) } satisfies PriceRow & StoredPriceRest]).problems;
    if (problem) throw new BillingError("invalid_request", `The price cannot be read: ${problem.message}`);
    const { id, provider, model, validFrom } = row;
    const done = {
      action: "set_price",
      targets: [`${provider}/${model}`],
      counts: ONE_APPLIED,
      after: row,
      result: { price_id: id, provider, model, valid_from: validFrom },
    };
    return { outcome: "set", operationId: await recordAct(query, once, done), price: row };
  };
  try {
    checkPrices(price);
    return await actOnce(billing, act, "set_price", set, async (_, first) => ({
      outcome: "repeated",
      operationId: first.id,
      price: revive(first.after),
    }));
  } catch (error) {
    return refusalOf(error);
  }
}

/** Removes a price by its id: from now on the next older row of its model holds, if there is one. What it was stays with the act. */
export async function removePrice(billing: Pick<Billing, "db">, id: string, act: Act): Promise<RemovePriceOutcome> {
  const remove = async (query: Query, once: Required<Act>): Promise<RemovePriceOutcome> => {
    if (!/^\d{1,18}$/.test(id)) return { outcome: "unknown_price" };
    const [row] = await query<StoredPrice>(`DELETE FROM data.model_price p WHERE id = $1 RETURNING ${columns}`, [id]);
    if (!row) return { outcome: "unknown_price" };
    const { provider, model } = row;
    const result = { price_id: row.id, provider, model };
    const targets = [`${provider}/${model}`];
    const done = { action: "remove_price", targets, counts: ONE_APPLIED, before: row, result };
    return { outcome: "removed", operationId: await recordAct(query, once, done), price: row };
  };
  return await actOnce(billing, act, "remove_price", remove, async (_, first) => ({
    outcome: "repeated",
    operationId: first.id,
    price: revive(first.before),
  }));
}

export type PriceFilters = {
  provider?: string;
  /** Text that the model's name contains, without case. */
  model?: string;
  customerTypeId?: string;
  currency?: string;
  /** Only the operator's own rows, or only imported ones. */
  source?: "operator" | "imported";
};

/**
 * A page of price rows, by provider, model and moment (the newest first); `after` is the id of the last one of the page before.
 * Throws `postgres_unavailable`.
 */
export async function listPriceRows(
  billing: Pick<Billing, "db">,
  filters: PriceFilters = {},
  page: { limit?: number; after?: string } = {},
): Promise<StoredPrice[]> {
  return await queryOf(billing.db)<StoredPrice>(
    `SELECT ${columns} FROM data.model_price p LEFT JOIN data.model_price l ON l.id = $7::bigint
      WHERE ($1::text IS NULL OR p.provider = $1) AND ($2::text IS NULL OR strpos(lower(p.model), lower($2)) > 0)
        AND ($3::uuid IS NULL OR p.customer_type_id = $3) AND ($4::text IS NULL OR upper(p.currency) = upper($4))
        AND ($5::boolean IS NULL OR (starts_with(p.source, '${IMPORT_SOURCE}')) = $5)
        AND (l.id IS NULL OR (p.provider, p.model) > (l.provider, l.model) OR (p.provider, p.model) = (l.provider, l.model)
             AND (p.valid_from < l.valid_from OR p.valid_from = l.valid_from AND p.id > l.id))
      ORDER BY p.provider, p.model, p.valid_from DESC, p.id LIMIT $6`,
    [
      filters.provider ?? null,
      filters.model ?? null,
      filters.customerTypeId ?? null,
      filters.currency ?? null,
      filters.source === undefined ? null : filters.source === "imported",
      page.limit ?? 100,
      page.after ?? null,
    ],
  );
}

type StoredPriceRest = Pick<StoredPrice, "sourceDate" | "createdAt">;

const columns = `p.id, p.provider, p.model, p.customer_type_id AS "customerTypeId", p.currency, p.price_model AS "priceModel",
  p.token_price AS "tokenPrice", p.input_price AS "inputPrice", p.cached_input_price AS "cachedInputPrice",
  p.cache_write_price AS "cacheWritePrice", p.cache_write_1h_price AS "cacheWrite1hPrice", p.output_price AS "outputPrice",
  p.request_price AS "requestPrice", p.detail_prices AS "detailPrices", p.tiers, p.match, p.valid_from AS "validFrom",
  p.window_start AS "windowStart", p.window_end AS "windowEnd", p.source, p.source_date::text AS "sourceDate", p.created_at AS "createdAt"`;

async function insert(query: Query, price: PriceToSet): Promise<StoredPrice> {
  const json = (value: object | undefined) => (value === undefined ? null : JSON.stringify(value));
  const [row] = await query<StoredPrice>(
    `INSERT INTO data.model_price AS p (provider, model, customer_type_id, currency, price_model, token_price, input_price,
         cached_input_price, cache_write_price, cache_write_1h_price, output_price, request_price, detail_prices, tiers, match,
         valid_from, window_start, window_end)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, coalesce($16, date_trunc('milliseconds', now())), $17, $18)
     RETURNING ${columns}`,
    [
      price.provider,
      price.model,
      price.customerTypeId ?? null,
      (price.currency ?? "USD").toUpperCase(),
      price.priceModel,
      price.tokenPrice ?? null,
      price.inputPrice ?? null,
      price.cachedInputPrice ?? null,
      price.cacheWritePrice ?? null,
      price.cacheWrite1hPrice ?? null,
      price.outputPrice ?? null,
      price.requestPrice ?? null,
      json(price.detailPrices),
      json(price.tiers),
      json(price.match),
      price.validFrom ?? null,
      price.window?.start ?? null,
      price.window?.end ?? null,
    ],
  );
  if (!row) throw new Error("a price that was just written is not there");
  return row;
}

/** A column would round what has too many decimals; a price is exact or it is refused: throws `invalid_amount`, `invalid_request`. */
export function checkPrices(price: PriceToSet): void {
  for (const [name, value] of Object.entries(price))
    if (name.endsWith("Price") && typeof value === "string") parsePrice(value);
  if (price.customerTypeId != null && !isUuid(price.customerTypeId))
    throw new BillingError("invalid_request", "A customer type is named by its id.");
}

type Refused = Extract<SetPriceOutcome, { outcome: "refused" }>;

const refusals: Partial<Record<string, { reason: Refused["reason"]; message: string }>> = {
  model_price_complete_check: {
    reason: "incomplete",
    message:
      "No cost can follow from it: per_token needs the token price, per_input_output the input and the output price, per_request the request price.",
  },
  model_price_key: {
    reason: "taken",
    message: "The model has a price of this moment, currency, customer type and hours: choose another moment.",
  },
  model_price_customer_type_fk: { reason: "unknown_customer_type", message: "There is no such customer type." },
  model_price_currency_check: { reason: "invalid", message: "A currency is 3 to 12 letters." },
  model_price_names_check: { reason: "invalid", message: "Provider and model have 1 to 512 characters." },
  model_price_window_check: { reason: "invalid", message: "Hours have a start and another end." },
  model_price_tiers_check: {
    reason: "invalid",
    message: "Tiers go with per_input_output: a list, each with above_input_tokens and prices as text.",
  },
  model_price_detail_prices_check: {
    reason: "invalid",
    message: "Detail prices go with per_input_output: names that end in _price, and prices as text.",
  },
  model_price_match_check: {
    reason: "invalid",
    message: "A match has one of equals, starts_with, ends_with, contains, regex, or, and.",
  },
};

/** What the row itself is refused for, as a value; everything else is thrown on. */
function refusalOf(error: unknown): Refused {
  const constraint = constraintOf(error) ?? null;
  const known = refusals[constraint ?? ""];
  if (known) return { outcome: "refused", ...known, constraint };
  const state = sqlState(error) ?? "";
  const ours = error instanceof BillingError && (error.code === "invalid_amount" || error.code === "invalid_request");
  if (!ours && constraint === null && !state.startsWith("22")) throw error;
  const message = error instanceof BillingError && ours ? error.publicMessage : "The price cannot be kept as it is.";
  return { outcome: "refused", reason: "invalid", message, constraint };
}

/** A row as the act keeps it: moments are text there. */
function revive(kept: unknown): StoredPrice {
  const row = kept as StoredPrice & { validFrom: string; createdAt: string };
  return { ...row, validFrom: new Date(row.validFrom), createdAt: new Date(row.createdAt) };
}
