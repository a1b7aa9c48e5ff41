/**
 * Brings the list prices of `@pydantic/genai-prices` into `data.model_price`, and the providers that the gateway can reach into
 * `data.provider`. Any number of times, from any number of processes: what is there already stays. A price that changed gets new rows from
 * the moment of the import on, so that what an older call cost can still be explained; only rows that were to begin in the future are
 * replaced. Rows of any other source are the operator's own and are neither read as list prices nor touched.
 */
import { type Db, modelPrice, provider as providers } from "@drawdown/db";
import { inArray, sql } from "drizzle-orm";
import { fromBooks } from "./postgres.ts";
import { isImported } from "./price-list.ts";
import {
  canonicalText,
  type DatedTerms,
  type ListedModel,
  priceSource,
  readPriceSource,
  type SkippedModel,
  sameTerms,
} from "./price-source.ts";

export type PriceImport = {
  /** Name and version of the source, and the day of its publication. */
  source: string;
  sourceDate: string;
  /** How many models of how many providers have a price from the source. */
  models: number;
  providers: number;
  rowsAdded: number;
  /** Rows that would have begun to hold later and that the source no longer has. */
  rowsRemoved: number;
  /** Models whose aliases changed. */
  modelsRenamed: number;
  providersAdded: number;
  /** Models of the source that are not imported, with the reason. */
  skipped: SkippedModel[];
};

type StoredRow = typeof modelPrice.$inferSelect;
type NewRow = typeof modelPrice.$inferInsert;
type Changes = { insert: NewRow[]; remove: bigint[]; rename: bigint[] };

const CURRENCY = "USD";
const ROWS_PER_INSERT = 500;

/** All or nothing, in one transaction. Throws `postgres_unavailable`. `now` is the moment from which changed prices hold. */
export async function importPrices(db: Db, options: { now?: Date } = {}): Promise<PriceImport> {
  const now = options.now ?? new Date();
  // Loaded here because its data is nearly a megabyte, which no other command needs.
  const { waitForUpdate } = await import("@pydantic/genai-prices");
  const { models, skipped } = readPriceSource((await waitForUpdate()) ?? []);
  return await fromBooks(
    db.transaction(async (tx) => {
      // Two imports at once would each add the change that they both see.
      await tx.execute(sql`LOCK TABLE data.model_price IN SHARE ROW EXCLUSIVE MODE`);
      const stored = groupByModel(await tx.select().from(modelPrice));
      const result: PriceImport = {
        source: priceSource.name,
        sourceDate: priceSource.date,
        models: models.length,
        providers: new Set(models.map((model) => model.provider)).size,
        rowsAdded: 0,
        rowsRemoved: 0,
        modelsRenamed: 0,
        providersAdded: 0,
        skipped,
      };
      const insert: NewRow[] = [];
      const remove: bigint[] = [];
      for (const model of models) {
        const rows = stored.get(keyOf(model)) ?? [];
        const changes = changesOf(model, rows, now);
        insert.push(...changes.insert);
        remove.push(...changes.remove);
        if (changes.rename.length === 0) continue;
        await tx.update(modelPrice).set({ match: model.match }).where(inArray(modelPrice.id, changes.rename));
        result.modelsRenamed += 1;
      }
      if (remove.length > 0) await tx.delete(modelPrice).where(inArray(modelPrice.id, remove));
      for (let start = 0; start < insert.length; start += ROWS_PER_INSERT)
        await tx.insert(modelPrice).values(insert.slice(start, start + ROWS_PER_INSERT));
      const added = await tx.insert(providers).values(reachableProviders).onConflictDoNothing().returning();
      return { ...result, rowsAdded: insert.length, rowsRemoved: remove.length, providersAdded: added.length };
    }),
  );
}

/** What has to change so that `model` has the prices of the source: nothing when it has them already. */
function changesOf(model: ListedModel, rows: readonly StoredRow[], now: Date): Changes {
  const imported = rows.filter((row) => isImported(row.source));
  const taken = new Set(rows.map(momentKey));
  const renamed = imported.filter((row) => canonicalText(row.match) !== canonicalText(model.match)).map(({ id }) => id);
  const stored = datedRows(imported);
  if (stored.length === 0)
    return { insert: model.dated.flatMap((dated) => newRows(model, dated, taken)), remove: [], rename: [] };

  const isLater = ({ validFrom }: { validFrom: Date }): boolean => validFrom > now;
  const wantedNow = model.dated.findLast((dated) => !isLater(dated));
  const storedNow = stored.findLast((dated) => !isLater(dated));
  const unchanged = wantedNow && storedNow && sameTerms(wantedNow.terms, storedNow.terms);
  const wanted = wantedNow && !unchanged ? [{ validFrom: now, terms: wantedNow.terms }] : [];
  const isSame = (a: DatedTerms) => (b: DatedTerms) =>
    a.validFrom.getTime() === b.validFrom.getTime() && sameTerms(a.terms, b.terms);
  const later = model.dated.filter(isLater);
  const gone = stored.filter(isLater).filter((dated) => !later.some(isSame(dated)));
  const remove = gone.flatMap(({ terms }) => terms.map(({ id }) => id));
  for (const { terms } of gone) for (const row of terms) taken.delete(momentKey(row));
  wanted.push(...later.filter((dated) => !stored.some(isSame(dated))));
  return {
    insert: wanted.flatMap((dated) => newRows(model, dated, taken)),
    remove,
    rename: renamed.filter((id) => !remove.includes(id)),
  };
}

/** The stored rows that begin at one moment are one price, as in the source; oldest first. */
function datedRows(rows: readonly StoredRow[]): { validFrom: Date; terms: StoredRow[] }[] {
  const byMoment = Map.groupBy(rows, ({ validFrom }) => validFrom.getTime());
  return [...byMoment].toSorted(([a], [b]) => a - b).map(([moment, terms]) => ({ validFrom: new Date(moment), terms }));
}

function newRows(model: ListedModel, { validFrom, terms }: DatedTerms, taken: ReadonlySet<string>): NewRow[] {
  // An operator's own row may stand at the very moment. His goes before ours anyway, so ours begins a moment later.
  let from = validFrom;
  while (terms.some((one) => taken.has(momentKey({ ...one, validFrom: from })))) from = new Date(from.getTime() + 1);
  return terms.map((one) => ({
    ...one,
    provider: model.provider,
    model: model.model,
    match: model.match,
    currency: CURRENCY,
    validFrom: from,
    source: priceSource.name,
    sourceDate: priceSource.date,
  }));
}

function momentKey({ validFrom, windowStart }: Pick<StoredRow, "validFrom" | "windowStart">): string {
  return `${validFrom.getTime()} ${windowStart}`;
}

/** List rows in the source's currency, of every source. */
function groupByModel(rows: readonly StoredRow[]): Map<string, StoredRow[]> {
  return Map.groupBy(
    rows.filter((row) => row.customerTypeId === null && row.currency === CURRENCY),
    keyOf,
  );
}

function keyOf({ provider, model }: { provider: string; model: string }): string {
  return JSON.stringify([provider, model]);
}

/**
 * Where the providers with an OpenAI- or Anthropic-shaped API are, so that a key in the environment is all that is missing. A base
 * without a path stands for its `/v1`. What the operator has entered under the same name stays.
 */
export const reachableProviders: (typeof providers.$inferInsert)[] = [
  { name: "anthropic", shape: "anthropic", baseUrl: "https://api.anthropic.com", apiKeyEnv: "ANTHROPIC_API_KEY" },
  { name: "openai", shape: "openai", baseUrl: "https://api.openai.com", apiKeyEnv: "OPENAI_API_KEY" },
  {
    name: "google",
    shape: "openai",
    baseUrl: "https://generativelanguage.googleapis.com/v1beta/openai",
    apiKeyEnv: "GEMINI_API_KEY",
  },
  { name: "mistral", shape: "openai", baseUrl: "https://api.mistral.ai", apiKeyEnv: "MISTRAL_API_KEY" },
  { name: "deepseek", shape: "openai", baseUrl: "https://api.deepseek.com", apiKeyEnv: "DEEPSEEK_API_KEY" },
  { name: "x-ai", shape: "openai", baseUrl: "https://api.x.ai", apiKeyEnv: "XAI_API_KEY" },
  { name: "groq", shape: "openai", baseUrl: "https://api.groq.com/openai/v1", apiKeyEnv: "GROQ_API_KEY" },
  { name: "cerebras", shape: "openai", baseUrl: "https://api.cerebras.ai", apiKeyEnv: "CEREBRAS_API_KEY" },
  { name: "moonshotai", shape: "openai", baseUrl: "https://api.moonshot.ai", apiKeyEnv: "MOONSHOT_API_KEY" },
  { name: "together", shape: "openai", baseUrl: "https://api.together.xyz", apiKeyEnv: "TOGETHER_API_KEY" },
  {
    name: "fireworks",
    shape: "openai",
    baseUrl: "https://api.fireworks.ai/inference/v1",
    apiKeyEnv: "FIREWORKS_API_KEY",
  },
  { name: "openrouter", shape: "openai", baseUrl: "https://openrouter.ai/api/v1", apiKeyEnv: "OPENROUTER_API_KEY" },
];
