// Where calls are sent, as operators set it. A provider's key is never here: only the name of the environment variable that has it.
import type { Billing } from "./billing.ts";
import { type Act, actOnce, ONE_APPLIED, recordAct } from "./operations.ts";
import { constraintOf, type Query, queryOf } from "./postgres.ts";

export type ProviderToSet = {
  name: string;
  baseUrl: string;
  shape: "openai" | "anthropic";
  /** The name of the environment variable that has the key; null or absent: it is sent none. */
  apiKeyEnv?: string | null;
};

export type StoredProvider = Required<ProviderToSet> & { createdAt: Date };

export type SetProviderOutcome =
  /** `repeated`: by this very act, before. `unchanged`: it was so already, and nothing is on record. */
  | { outcome: "set" | "repeated" | "unchanged"; operationId: string | null; provider: StoredProvider }
  | { outcome: "refused"; reason: "invalid"; message: string };

export type RemoveProviderOutcome =
  | { outcome: "removed" | "repeated"; operationId: string; provider: StoredProvider }
  | { outcome: "unknown_provider" };

/** Adds a provider, or sets it anew whole. Throws `invalid_request` without actor or reason, `postgres_unavailable`. */
export async function setProvider(
  billing: Pick<Billing, "db">,
  provider: ProviderToSet,
  act: Act,
): Promise<SetProviderOutcome> {
  const url = URL.parse(provider.baseUrl);
  if (url === null || url.username !== "" || url.password !== "")
    return refused("The address is a URL like https://api.example.com/v1, without a name or password in it.");
  const set = async (query: Query, once: Required<Act>): Promise<SetProviderOutcome> => {
    // Two who add the same provider: the second waits, and sees the first's.
    await query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`drawdown.provider:${provider.name}`]);
    const before = await read(query, provider.name);
    const { name, baseUrl, shape, apiKeyEnv = null } = provider;
    if (before && before.baseUrl === baseUrl && before.shape === shape && before.apiKeyEnv === apiKeyEnv)
      return { outcome: "unchanged", operationId: null, provider: before };
    await query(
      `INSERT INTO data.provider (name, base_url, shape, api_key_env) VALUES ($1, $2, $3, $4)
       ON CONFLICT (name) DO UPDATE SET base_url = EXCLUDED.base_url, shape = EXCLUDED.shape, api_key_env = EXCLUDED.api_key_env`,
      [name, baseUrl, shape, apiKeyEnv],
    );
    const after = await read(query, name);
    if (!after) throw new Error("a provider that was just written is not there");
    const done = {
      action: "set_provider",
      targets: [name],
      counts: ONE_APPLIED,
      before,
      after,
      result: { provider: name },
    };
    return { outcome: "set", operationId: await recordAct(query, once, done), provider: after };
  };
  try {
    return await actOnce(billing, act, "set_provider", set, async (_, first) => ({
      outcome: "repeated",
      operationId: first.id,
      provider: revive(first.after),
    }));
  } catch (error) {
    const message = refusals[constraintOf(error) ?? ""];
    if (message === undefined) throw error;
    return refused(message);
  }
}

/** Removes a provider: calls to it are refused from then on; its prices stay. */
export async function removeProvider(
  billing: Pick<Billing, "db">,
  name: string,
  act: Act,
): Promise<RemoveProviderOutcome> {
  const remove = async (query: Query, once: Required<Act>): Promise<RemoveProviderOutcome> => {
    const [before] = await query<StoredProvider>(`DELETE FROM data.provider WHERE name = $1 RETURNING ${columns}`, [
      name,
    ]);
    if (!before) return { outcome: "unknown_provider" };
    const done = {
      action: "remove_provider",
      targets: [name],
      counts: ONE_APPLIED,
      before,
      result: { provider: name },
    };
    return { outcome: "removed", operationId: await recordAct(query, once, done), provider: before };
  };
  return await actOnce(billing, act, "remove_provider", remove, async (_, first) => ({
    outcome: "repeated",
    operationId: first.id,
    provider: revive(first.before),
  }));
}

/** All of them, by name. Throws `postgres_unavailable`. */
export async function listProviders(billing: Pick<Billing, "db">): Promise<StoredProvider[]> {
  return await queryOf(billing.db)<StoredProvider>(`SELECT ${columns} FROM data.provider ORDER BY name`);
}

const columns = `name, base_url AS "baseUrl", shape, api_key_env AS "apiKeyEnv", created_at AS "createdAt"`;

const refusals: Partial<Record<string, string>> = {
  provider_name_check: "A provider's name has 1 to 512 characters.",
  provider_shape_check: "The shape is openai or anthropic.",
  provider_base_url_check: "The address begins with http:// or https://.",
  provider_api_key_env_check:
    "That is no name of an environment variable. The key itself is never kept here: name the variable that has it.",
};

function refused(message: string): SetProviderOutcome {
  return { outcome: "refused", reason: "invalid", message };
}

async function read(query: Query, name: string): Promise<StoredProvider | undefined> {
  const [row] = await query<StoredProvider>(`SELECT ${columns} FROM data.provider WHERE name = $1`, [name]);
  return row;
}

function revive(kept: unknown): StoredProvider {
  const row = kept as StoredProvider & { createdAt: string };
  return { ...row, createdAt: new Date(row.createdAt) };
}
