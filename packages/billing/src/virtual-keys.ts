// API keys and their limits. A key is `<virtual_key>.<secret>`: the first part is public, of the second only a SHA-256 is kept. Making and
// revoking one are acts; gateways hear of both through the notification that the rows' trigger sends.
import { createHash, randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { formatUnits } from "./money.ts";
import { type Act, actOnce, ONE_APPLIED, recordAct } from "./operations.ts";
import { type Query, queryOf } from "./postgres.ts";
import type { SpendLimit, SpendPeriod } from "./spend.ts";

/** What a key may do; null: whatever its account may, and as the gateway is set. */
export type KeyLimits = {
  /** Names as they are asked for, `provider/model` too; one that ends in `*` is a beginning. */
  allowedModels: readonly string[] | null;
  spendLimit: SpendLimit | null;
  /** In any 60 seconds. */
  requestsPerMinute: number | null;
  /** When less is available than a call may cost: hold that, or refuse. */
  holdPolicy: HoldPolicy | null;
  /** When a client leaves a stream. */
  leavePolicy: LeavePolicy | null;
};

/** `available`: hold what is there, if that covers the prompt and a short answer. `worst_case`: refuse. */
export type HoldPolicy = "available" | "worst_case";

/** `drain`: the provider is read on, to learn what was used. `cut`: it is stopped, and what came is counted. */
export type LeavePolicy = "drain" | "cut";

export type KeyToCreate = Partial<KeyLimits> & {
  /** Whose key it is, and so which account pays. */
  userId?: string;
  /** The account that pays, or its owner's id. Alone it will do where it has one user. */
  accountId?: string;
  name?: string;
  expiresAt?: Date;
};

/** A key without its secret. `spendLimit` is a decimal string of units. */
export type ApiKey = {
  virtualKey: string;
  name: string | null;
  status: "active" | "expired" | "revoked";
  userId: string;
  /** Null where nobody pays for it: nothing can be done with it. */
  accountId: string | null;
  ownerId: string | null;
  accountType: "user" | "tenant" | null;
  allowedModels: string[] | null;
  spendLimit: string | null;
  spendPeriod: SpendPeriod | null;
  requestsPerMinute: number | null;
  holdPolicy: HoldPolicy | null;
  leavePolicy: LeavePolicy | null;
  createdAt: Date;
  createdBy: string | null;
  expiresAt: Date | null;
  revokedAt: Date | null;
};

export type CreateKeyOutcome =
  /** `secret` is told this once. */
  | { outcome: "created"; key: ApiKey; secret: string; operationId: string }
  /** By this very act, before: the secret was told then, and is not known any more. */
  | { outcome: "repeated"; key: ApiKey; operationId: string }
  /** No account is billed for this user; no user has this account; the account has several users. */
  | { outcome: "refused"; reason: "unknown_owner" | "ambiguous_user" };

export type RevokeKeyOutcome =
  | { outcome: "revoked"; key: ApiKey; operationId: string }
  | { outcome: "repeated"; key: ApiKey }
  | { outcome: "unknown_key" };

/** What is absent stays as it is; null clears it. */
export type KeyChanges = {
  name?: string | null;
  expiresAt?: Date | null;
  allowedModels?: readonly string[] | null;
  spendLimit?: SpendLimit | null;
  requestsPerMinute?: number | null;
  holdPolicy?: HoldPolicy | null;
  leavePolicy?: LeavePolicy | null;
};

export type UpdateKeyOutcome =
  /** `repeated`: by this very act, before. `unchanged`: it was so already, and nothing is on record. */
  | { outcome: "updated" | "repeated" | "unchanged"; key: ApiKey; operationId: string | null }
  /** What is revoked stays as it was. */
  | { outcome: "revoked"; key: ApiKey }
  | { outcome: "unknown_key" };

const maxModels = 1_000;
const maxText = 512;
const maxRequestsPerMinute = 100_000;

/** What Postgres holds of a secret: SHA-256 in lower-case hex. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Makes a key. Throws `invalid_request` for limits that cannot be kept, and without actor or reason; `postgres_unavailable`. */
export async function createKey(billing: Pick<Billing, "db">, key: KeyToCreate, act: Act): Promise<CreateKeyOutcome> {
  checkKey(key);
  const make = async (query: Query, once: Required<Act>): Promise<CreateKeyOutcome> => {
    const [payer, another] = await findPayers(query, key);
    if (payer === undefined) return { outcome: "refused", reason: "unknown_owner" };
    if (another !== undefined) return { outcome: "refused", reason: "ambiguous_user" };
    const virtualKey = `vk_${randomBytes(12).toString("hex")}`;
    const secret = randomBytes(32).toString("base64url");
    await query(
      `INSERT INTO data.virtual_key (virtual_key, secret_sha256, user_id, created_by) VALUES ($1, $2, $3, $4)`,
      [virtualKey, hashSecret(secret), payer.user_id, act.actor],
    );
    const made = await writeChanges(query, virtualKey, key);
    const done = { action: "create_key", targets: [virtualKey], after: made, result: { virtual_key: virtualKey } };
    return { outcome: "created", key: made, secret, operationId: await recordAct(query, once, done) };
  };
  return await actOnce(billing, act, "create_key", make, async (query, { result }) => {
    const { virtual_key: virtualKey } = result as { virtual_key: string };
    return { outcome: "repeated", key: await readKey(query, virtualKey), operationId: act.id ?? "" };
  });
}

/**
 * Changes what a key may do; gateways have it within a second. Throws `invalid_request` for limits that cannot be kept, and without
 * actor or reason; `postgres_unavailable`.
 */
export async function updateKey(
  billing: Pick<Billing, "db">,
  virtualKey: string,
  changes: KeyChanges,
  act: Act,
): Promise<UpdateKeyOutcome> {
  checkKey(changes);
  const update = async (query: Query, once: Required<Act>): Promise<UpdateKeyOutcome> => {
    await query("SELECT 1 FROM data.virtual_key WHERE virtual_key = $1 FOR UPDATE", [virtualKey]);
    const [before] = await readKeys(query, { virtualKey });
    if (before === undefined) return { outcome: "unknown_key" };
    if (before.status === "revoked") return { outcome: "revoked", key: before };
    const key = await writeChanges(query, virtualKey, changes);
    if (isDeepStrictEqual(before, key)) return { outcome: "unchanged", key, operationId: null };
    const result = { virtual_key: virtualKey };
    const done = { action: "update_key", targets: [virtualKey], counts: ONE_APPLIED, before, after: key, result };
    return { outcome: "updated", key, operationId: await recordAct(query, once, done) };
  };
  return await actOnce(billing, act, "update_key", update, async (query, { result }) => {
    const { virtual_key: first } = result as { virtual_key: string };
    return { outcome: "repeated", key: await readKey(query, first), operationId: act.id ?? null };
  });
}

/** Revokes a key, for ever and at once. Throws `invalid_request` without actor or reason, `postgres_unavailable`. */
export async function revokeKey(billing: Pick<Billing, "db">, virtualKey: string, act: Act): Promise<RevokeKeyOutcome> {
  const revoke = async (query: Query, once: Required<Act>): Promise<RevokeKeyOutcome> => {
    const revoked = await query(
      "UPDATE data.virtual_key SET status = 'revoked' WHERE virtual_key = $1 AND status <> 'revoked' RETURNING virtual_key",
      [virtualKey],
    );
    const [key] = await readKeys(query, { virtualKey });
    if (key === undefined) return { outcome: "unknown_key" };
    if (revoked.length === 0) return { outcome: "repeated", key };
    const done = { action: "revoke_key", targets: [virtualKey], after: key, result: { virtual_key: virtualKey } };
    return { outcome: "revoked", key, operationId: await recordAct(query, once, done) };
  };
  return await actOnce(billing, act, "revoke_key", revoke, async (query, { result }) => {
    const { virtual_key: first } = result as { virtual_key: string };
    return { outcome: "repeated", key: await readKey(query, first) };
  });
}

/** Writes what is given, and nothing else. Returns the key as it is then. */
async function writeChanges(query: Query, virtualKey: string, changes: KeyChanges): Promise<ApiKey> {
  const { spendLimit } = changes;
  const columns: [string, unknown][] = [
    ["name", changes.name],
    ["expires_at", changes.expiresAt],
    ["allowed_models", changes.allowedModels],
    ["spend_limit", spendLimit && formatUnits(spendLimit.limitNanos)],
    ["spend_period", spendLimit && spendLimit.period],
    ["requests_per_minute", changes.requestsPerMinute],
    ["hold_policy", changes.holdPolicy],
    ["leave_policy", changes.leavePolicy],
  ];
  const given = columns.filter(([, value]) => value !== undefined);
  if (given.length > 0)
    await query(
      `UPDATE data.virtual_key SET ${given.map(([column], i) => `${column} = $${i + 2}`).join(", ")} WHERE virtual_key = $1`,
      [virtualKey, ...given.map(([, value]) => value)],
    );
  return await readKey(query, virtualKey);
}

async function readKey(query: Query, virtualKey: string): Promise<ApiKey> {
  const [key] = await readKeys(query, { virtualKey });
  if (key === undefined) throw new Error("a key that was just written is not there");
  return key;
}

/** The keys that an account pays for (by its id or its owner's), or all, the newest first. Throws `postgres_unavailable`. */
export async function listKeys(billing: Pick<Billing, "db">, filters: { accountId?: string } = {}): Promise<ApiKey[]> {
  return await readKeys(queryOf(billing.db), filters);
}

function checkKey({ name, allowedModels, spendLimit, requestsPerMinute, expiresAt }: KeyChanges): void {
  const refuse = (message: string): never => {
    throw new BillingError("invalid_request", message);
  };
  const text = (value: string) => value.trim() !== "" && value.length <= maxText && !/\p{Cc}/u.test(value);
  if (typeof name === "string" && !text(name)) refuse("A key's name has 1 to 512 characters of text.");
  if (allowedModels && (allowedModels.length === 0 || allowedModels.length > maxModels || !allowedModels.every(text)))
    refuse(`Allowed models are 1 to ${maxModels} names.`);
  if (spendLimit && spendLimit.limitNanos < 0n) refuse("A spend limit is not below zero.");
  const rate = requestsPerMinute ?? 1;
  if (!Number.isInteger(rate) || rate < 1 || rate > maxRequestsPerMinute)
    refuse(`Requests per minute are 1 to ${maxRequestsPerMinute}.`);
  if (expiresAt && !(expiresAt.getTime() > Date.now())) refuse("A key expires in the future.");
}

const uuidShape = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Users and the accounts that are billed for them, as data.billing_accounts says; two at most. */
async function findPayers(query: Query, { userId, accountId }: KeyToCreate): Promise<{ user_id: string }[]> {
  const ids = [userId, accountId].filter((id) => id !== undefined);
  if (ids.length === 0 || !ids.every((id) => uuidShape.test(id))) return [];
  return await query<{ user_id: string }>(
    `SELECT u.id AS user_id FROM data.account_balance a
       JOIN data.user_profile u ON a.owner_tenantid = u.tenant_id OR a.owner_userid = u.id AND u.tenant_id IS NULL
      WHERE ($1::uuid IS NULL OR u.id = $1) AND ($2::uuid IS NULL OR $2 IN (a.id, a.owner_userid, a.owner_tenantid))
      ORDER BY u.id LIMIT 2`,
    [userId ?? null, accountId ?? null],
  );
}

async function readKeys(query: Query, filters: { virtualKey?: string; accountId?: string }): Promise<ApiKey[]> {
  if (filters.accountId !== undefined && !uuidShape.test(filters.accountId)) return [];
  return await query<ApiKey>(
    `SELECT k.virtual_key AS "virtualKey", k.name, k.user_id AS "userId", b.account_balance_id AS "accountId",
            CASE WHEN k.status = 'active' AND k.expires_at <= now() THEN 'expired' ELSE k.status END AS status,
            b.account_id AS "ownerId", b.account_type AS "accountType", k.allowed_models AS "allowedModels",
            k.spend_limit AS "spendLimit", k.spend_period AS "spendPeriod", k.requests_per_minute AS "requestsPerMinute",
            k.hold_policy AS "holdPolicy", k.leave_policy AS "leavePolicy", k.created_at AS "createdAt", k.created_by AS "createdBy", k.expires_at AS "expiresAt", k.revoked_at AS "revokedAt"
       FROM data.virtual_key k LEFT JOIN data.billing_accounts b ON b.virtual_key = k.virtual_key
      WHERE ($1::text IS NULL OR k.virtual_key = $1) AND ($2::uuid IS NULL OR $2 IN (b.account_balance_id, b.account_id))
      ORDER BY k.created_at DESC, k.virtual_key`,
    [filters.virtualKey ?? null, filters.accountId ?? null],
  );
}
