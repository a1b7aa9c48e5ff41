// The settings page of prices, and the customer types they may be for. Prices are some thousands of rows: they are gone through in the order of their
// names; `oldest` is A to Z.
import type { Db } from "./connect.ts";
import { given, listOf } from "./pages.ts";
import type { DetailPrices, MatchClause, PriceTier } from "./schema-prices.ts";

export type PriceFilters = {
  /** The beginnings of names, whatever their case. */
  provider?: string;
  model?: string;
  /** Null: list prices alone. */
  customerTypeId?: string | null;
  currency?: string;
  source?: "operator" | "imported";
  /** Only what holds now: not a later price, and not one that a later row of the same list replaced. */
  currentOnly?: boolean;
};

/** Prices are decimal text of 12 decimals. */
export type PriceListRow = {
  id: string;
  provider: string;
  model: string;
  customerTypeId: string | null;
  customerType: string | null;
  currency: string;
  priceModel: "per_token" | "per_input_output" | "per_request";
  tokenPrice: string | null;
  inputPrice: string | null;
  cachedInputPrice: string | null;
  cacheWritePrice: string | null;
  cacheWrite1hPrice: string | null;
  outputPrice: string | null;
  requestPrice: string | null;
  detailPrices: DetailPrices | null;
  tiers: PriceTier[] | null;
  match: MatchClause | null;
  validFrom: Date;
  windowStart: string | null;
  windowEnd: string | null;
  source: string;
  sourceDate: string | null;
  createdAt: Date;
  /** In its hours, where it has hours. `replaced`: a later price of the same list holds in its place. */
  holds: "now" | "later" | "replaced";
};

const imported = "(x.source = 'genai-prices' OR starts_with(x.source, 'genai-prices '))";
const current = `x.valid_from = (SELECT max(p.valid_from) FROM data.model_price p WHERE p.provider = x.provider AND p.model = x.model
    AND p.customer_type_id IS NOT DISTINCT FROM x.customer_type_id AND p.currency = x.currency AND p.valid_from <= now()
    AND (p.source = 'genai-prices' OR starts_with(p.source, 'genai-prices ')) = ${imported})`;

const columns = `x.id, x.provider, x.model, x.customer_type_id AS "customerTypeId",
  (SELECT c.name FROM data.customer_type c WHERE c.id = x.customer_type_id) AS "customerType", x.currency, x.price_model AS "priceModel",
  x.token_price AS "tokenPrice", x.input_price AS "inputPrice", x.cached_input_price AS "cachedInputPrice",
  x.cache_write_price AS "cacheWritePrice", x.cache_write_1h_price AS "cacheWrite1hPrice", x.output_price AS "outputPrice",
  x.request_price AS "requestPrice", x.detail_prices AS "detailPrices", x.tiers, x.match, x.valid_from AS "validFrom",
  x.window_start AS "windowStart", x.window_end AS "windowEnd", x.source, x.source_date::text AS "sourceDate", x.created_at AS "createdAt",
  CASE WHEN x.valid_from > now() THEN 'later' WHEN ${current} THEN 'now' ELSE 'replaced' END AS holds`;

const prices = listOf<PriceFilters, PriceListRow>(
  { column: "x.created_at", type: "timestamptz" },
  ({ provider, model, customerTypeId, currency, source, currentOnly }) => ({
    from: () => "data.model_price x",
    where: [],
    residual: [
      ...given(provider, (value) => (bind) => `starts_with(lower(x.provider), lower(${bind(value)}))`),
      ...given(model, (value) => (bind) => `starts_with(lower(x.model), lower(${bind(value)}))`),
      ...given(
        customerTypeId,
        (value) => (bind) => `x.customer_type_id::text IS NOT DISTINCT FROM ${bind(value)}::text`,
      ),
      ...given(currency, (value) => (bind) => `upper(x.currency) = upper(${bind(value)})`),
      ...given(source, (value) => () => (value === "imported" ? imported : `NOT ${imported}`)),
      ...(currentOnly === true ? [() => current] : []),
    ],
    keys: [
      { column: "x.provider", type: "text" },
      { column: "x.model", type: "text" },
      { column: "x.id", type: "bigint" },
    ],
    columns,
  }),
);

/** Prices by provider and model. Throws `InvalidPage`, and what the driver throws. */
export const pagePrices = prices.page;
export const countPrices = prices.count;
export const countNewerPrices = prices.newer;

const TYPES_MAX = 1_000;

export async function listCustomerTypes(db: Db): Promise<{ id: string; name: string }[]> {
  const { rows } = await db.$client.query<{ id: string; name: string }>(
    "SELECT id, name FROM data.customer_type ORDER BY name LIMIT $1",
    [TYPES_MAX],
  );
  return rows;
}
