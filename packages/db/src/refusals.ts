// Refused requests with the figures that refused them: the newest of each account, for a month. Best effort by design: who writes them
// may drop some, and counts what it dropped.

import type pg from "pg";
import type { Db } from "./connect.ts";

/** Amounts are decimal strings of units. `price` and `estimate` are JSON objects. */
export type NewRefusal = {
  /** By the gateway's clock. */
  createdAt: Date;
  accountId: string;
  virtualKey: string;
  requestId: string;
  code: "insufficient_balance" | "spend_limit";
  provider: string | null;
  model: string | null;
  currency: string;
  balance: string;
  held: string;
  creditLimit: string;
  required: string;
  /** Null unless the key's own limit was the reason. */
  spendLimit: string | null;
  spendPeriod: string | null;
  spent: string | null;
  reserved: string | null;
  price: Record<string, unknown> | null;
  estimate: Record<string, unknown> | null;
};

/** `id` is decimal text. */
export type RefusalRow = NewRefusal & { id: string };

/** As many of an account are kept; older ones go when newer ones come. */
export const REFUSALS_PER_ACCOUNT = 100;

const refusalAgeMs = 30 * 24 * 3_600_000;
const removedAtOnce = 10_000;
const insertTimeoutMs = 5_000;

const columns = `created_at AS "createdAt", account_id AS "accountId", virtual_key AS "virtualKey", request_id AS "requestId", code,
  provider, model, currency, balance, held, credit_limit AS "creditLimit", required, spend_limit AS "spendLimit",
  spend_period AS "spendPeriod", spent, reserved, price, estimate`;

/** Writes a batch in one statement, and removes what its accounts then have too many of. Throws when that takes longer than 5 s. */
export async function insertRefusals(db: Db, refusals: readonly NewRefusal[]): Promise<void> {
  const run = async (text: string, values: unknown[]) => {
    const query: pg.QueryConfig & { query_timeout: number } = { text, values, query_timeout: insertTimeoutMs };
    await db.$client.query(query);
  };
  await run(
    `INSERT INTO data.refusal (created_at, account_id, virtual_key, request_id, code, provider, model, currency, balance, held,
                               credit_limit, required, spend_limit, spend_period, spent, reserved, price, estimate)
     SELECT "createdAt", "accountId", "virtualKey", "requestId", code, provider, model, currency, balance, held,
            "creditLimit", required, "spendLimit", "spendPeriod", spent, reserved, price, estimate
       FROM jsonb_to_recordset($1::jsonb) AS r(
         "createdAt" timestamptz, "accountId" uuid, "virtualKey" text, "requestId" text, code text, provider text, model text,
         currency text, balance numeric, held numeric, "creditLimit" numeric, required numeric, "spendLimit" numeric,
         "spendPeriod" text, spent numeric, reserved numeric, price jsonb, estimate jsonb)`,
    [JSON.stringify(refusals)],
  );
  // Several gateways remove the same account's at once: what another one holds is left to it, so that none waits and none deadlocks.
  await run(
    `WITH last_kept AS (
       SELECT a.id AS account_id, kept.id FROM unnest($1::uuid[]) AS a(id) CROSS JOIN LATERAL (
         SELECT id FROM data.refusal WHERE account_id = a.id ORDER BY id DESC OFFSET $2 LIMIT 1) kept),
     excess AS (
       SELECT r.id FROM data.refusal r JOIN last_kept l ON r.account_id = l.account_id AND r.id <= l.id FOR UPDATE OF r SKIP LOCKED)
     DELETE FROM data.refusal WHERE id IN (SELECT id FROM excess)`,
    [[...new Set(refusals.map(({ accountId }) => accountId))], REFUSALS_PER_ACCOUNT],
  );
}

/** An account's refusals, the newest first. */
export async function listRefusals(db: Db, accountId: string, filters: { since?: Date } = {}): Promise<RefusalRow[]> {
  const { rows } = await db.$client.query<RefusalRow>(
    `SELECT id, ${columns} FROM data.refusal WHERE account_id = $1 AND ($2::timestamptz IS NULL OR created_at >= $2)
      ORDER BY id DESC LIMIT $3`,
    // Two gateways that write at once may leave a few more for a moment.
    [accountId, filters.since ?? null, 2 * REFUSALS_PER_ACCOUNT],
  );
  return rows;
}

/** The refusals of a request id, the newest first: a client may have asked again under the same. */
export async function findRefusals(db: Db, requestId: string): Promise<RefusalRow[]> {
  const { rows } = await db.$client.query<RefusalRow>(
    `SELECT id, ${columns} FROM data.refusal WHERE request_id = $1 ORDER BY id DESC LIMIT $2`,
    [requestId, REFUSALS_PER_ACCOUNT],
  );
  return rows;
}

/** Removes what is older than 30 days, in steps that hold no locks for long. Returns how many; a signal ends it early. */
export async function removeOldRefusals(db: Db, signal?: AbortSignal): Promise<number> {
  let removed = 0;
  for (;;) {
    const { rowCount } = await db.$client.query(
      `DELETE FROM data.refusal WHERE id IN (
         SELECT id FROM data.refusal WHERE created_at < now() - $1 * interval '1 ms' ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
      [refusalAgeMs, removedAtOnce],
    );
    removed += rowCount ?? 0;
    if ((rowCount ?? 0) < removedAtOnce || signal?.aborted) return removed;
  }
}
