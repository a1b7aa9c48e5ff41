// Rows of data.model_price as a test needs them, without a database.
import { waitForUpdate } from "@pydantic/genai-prices";
import { buildPriceList, type PriceList, type PriceRow } from "../src/index.ts";
import { priceSource, readPriceSource } from "../src/price-source.ts";

let lastId = 0n;

/** An operator's list row: per input and output token, nothing said but what `fields` say. */
export function priceRow(fields: Partial<PriceRow> & Pick<PriceRow, "provider" | "model">): PriceRow {
  lastId += 1n;
  return {
    id: lastId,
    customerTypeId: null,
    currency: "USD",
    priceModel: "per_input_output",
    tokenPrice: null,
    inputPrice: "0.000000000000",
    cachedInputPrice: null,
    cacheWritePrice: null,
    cacheWrite1hPrice: null,
    outputPrice: "0.000000000000",
    requestPrice: null,
    detailPrices: null,
    tiers: null,
    match: null,
    validFrom: new Date(0),
    windowStart: null,
    windowEnd: null,
    source: "operator",
    ...fields,
  };
}

/** What the import would have written into an empty table. */
export async function listRows(): Promise<PriceRow[]> {
  const { models } = readPriceSource((await waitForUpdate()) ?? []);
  return models.flatMap(({ provider, model, match, dated }) =>
    dated.flatMap(({ validFrom, terms }) =>
      terms.map((one) => priceRow({ ...one, provider, model, match, validFrom, source: priceSource.name })),
    ),
  );
}

export async function listOf(...own: PriceRow[]): Promise<PriceList> {
  return buildPriceList([...(await listRows()), ...own]);
}
