// What a call costs, and where it is sent.

import { sql } from "drizzle-orm";
import { bigint, check, date, foreignKey, jsonb, numeric, text, time, unique, uuid } from "drizzle-orm/pg-core";
import { customerType, data, moment } from "./schema-accounts.ts";

/** A price per token or request in currency units: 12 decimals, exact. */
const price = (name: string) => numeric(name, { precision: 18, scale: 12 });

/**
 * From `above_input_tokens` input tokens on (more than, not "from"), these prices hold for the whole call. Decimal strings
 * of at most 12 decimals; a price that is absent is the row's own.
 */
export type PriceTier = {
  above_input_tokens: number;
  input_price?: string;
  cached_input_price?: string;
  cache_write_price?: string;
  cache_write_1h_price?: string;
  output_price?: string;
};

/** Prices of parts of input and output that few models price apart. Decimal strings as in a tier; absent: as the whole. */
export type DetailPrices = {
  input_audio_price?: string;
  cached_input_audio_price?: string;
  output_audio_price?: string;
  input_image_price?: string;
  cached_input_image_price?: string;
  output_image_price?: string;
  output_reasoning_price?: string;
};

/** Which other names mean the row's model: aliases and dated snapshots. Without case, except `regex` (against lower case). */
export type MatchClause =
  | { equals: string }
  | { starts_with: string }
  | { ends_with: string }
  | { contains: string }
  | { regex: string }
  | { or: MatchClause[] }
  | { and: MatchClause[] };

export const provider = data.table(
  "provider",
  {
    name: text("name").primaryKey(),
    baseUrl: text("base_url").notNull(),
    shape: text("shape", { enum: ["openai", "anthropic"] }).notNull(),
    /** The name of the environment variable that has the key. Never the key. */
    apiKeyEnv: text("api_key_env"),
    createdAt: moment("created_at").notNull().defaultNow(),
  },
  () => [
    check("provider_name_check", sql`length(name) between 1 and 512`),
    check("provider_shape_check", sql`shape in ('openai', 'anthropic')`),
    check("provider_base_url_check", sql`base_url ~ '^https?://'`),
    // A pasted key is longer than any name and has lower case or dashes.
    check("provider_api_key_env_check", sql`api_key_env ~ '^[A-Za-z_][A-Za-z0-9_]{0,127}$'`),
  ],
);

export const modelPrice = data.table(
  "model_price",
  {
    id: bigint("id", { mode: "bigint" }).primaryKey().generatedByDefaultAsIdentity(),
    provider: text("provider").notNull(),
    model: text("model").notNull(),
    /** Null: the list price. A customer type's own row goes before it. */
    customerTypeId: uuid("customer_type_id"),
    currency: text("currency").notNull().default("USD"),
    priceModel: text("price_model", { enum: ["per_token", "per_input_output", "per_request"] }).notNull(),
    tokenPrice: price("token_price"),
    inputPrice: price("input_price"),
    /** Null: cached tokens cost what input costs; likewise cache writes. */
    cachedInputPrice: price("cached_input_price"),
    cacheWritePrice: price("cache_write_price"),
    cacheWrite1hPrice: price("cache_write_1h_price"),
    outputPrice: price("output_price"),
    requestPrice: price("request_price"),
    detailPrices: jsonb("detail_prices").$type<DetailPrices>(),
    tiers: jsonb("tiers").$type<PriceTier[]>(),
    /** Null: the model's own name alone. */
    match: jsonb("match").$type<MatchClause>(),
    validFrom: moment("valid_from").notNull().default(sql`'1970-01-01T00:00:00Z'`),
    /** Hours of the day in UTC in which the row holds, from start to before end; start after end goes over midnight. Both or neither. */
    windowStart: time("window_start"),
    windowEnd: time("window_end"),
    /** `operator`, or the name and version of what it was imported from. */
    source: text("source").notNull().default("operator"),
    sourceDate: date("source_date"),
    createdAt: moment("created_at").notNull().defaultNow(),
  },
  (table) => [
    foreignKey({
      name: "model_price_customer_type_fk",
      columns: [table.customerTypeId],
      foreignColumns: [customerType.id],
    }),
    // Also the look-up: … WHERE provider = $1 AND model = $2
    unique("model_price_key")
      .on(table.provider, table.model, table.customerTypeId, table.currency, table.validFrom, table.windowStart)
      .nullsNotDistinct(),
    check("model_price_names_check", sql`length(provider) between 1 and 512 and length(model) between 1 and 512`),
    check("model_price_price_model_check", sql`price_model in ('per_token', 'per_input_output', 'per_request')`),
    // A row from which no cost can follow is refused here, not at the first call. An embedding's output price is 0, not null.
    check(
      "model_price_complete_check",
      sql`case price_model when 'per_token' then token_price is not null when 'per_input_output' then input_price is not null and output_price is not null when 'per_request' then request_price is not null else false end`,
    ),
    check(
      "model_price_amounts_check",
      sql`(token_price is null or token_price >= 0 and token_price <> 'NaN'::numeric) and (input_price is null or input_price >= 0 and input_price <> 'NaN'::numeric) and (cached_input_price is null or cached_input_price >= 0 and cached_input_price <> 'NaN'::numeric) and (cache_write_price is null or cache_write_price >= 0 and cache_write_price <> 'NaN'::numeric) and (cache_write_1h_price is null or cache_write_1h_price >= 0 and cache_write_1h_price <> 'NaN'::numeric) and (output_price is null or output_price >= 0 and output_price <> 'NaN'::numeric) and (request_price is null or request_price >= 0 and request_price <> 'NaN'::numeric)`,
    ),
    check("model_price_currency_check", sql`currency ~ '^[A-Za-z]{3,12}$'`),
    check(
      "model_price_window_check",
      sql`(window_start is null) = (window_end is null) and (window_start is null or window_start <> window_end)`,
    ),
    check(
      "model_price_tiers_check",
      sql`tiers is null or jsonb_typeof(tiers) = 'array' and price_model = 'per_input_output' and not jsonb_path_exists(tiers, '$[*] ? (!exists(@.above_input_tokens ? (@.type() == "number" && @ >= 0)))') and not jsonb_path_exists(tiers, '$[*].keyvalue() ? (@.key like_regex "_price$" && (@.value.type() != "string" || !(@.value like_regex "^[0-9]{1,6}([.][0-9]{1,12})?$")))')`,
    ),
    check(
      "model_price_detail_prices_check",
      sql`detail_prices is null or jsonb_typeof(detail_prices) = 'object' and price_model = 'per_input_output' and not jsonb_path_exists(detail_prices, '$.keyvalue() ? (!(@.key like_regex "_price$") || @.value.type() != "string" || !(@.value like_regex "^[0-9]{1,6}([.][0-9]{1,12})?$"))')`,
    ),
    check(
      "model_price_match_check",
      sql`match is null or jsonb_typeof(match) = 'object' and match ?| array['equals', 'starts_with', 'ends_with', 'contains', 'regex', 'or', 'and']`,
    ),
  ],
);
