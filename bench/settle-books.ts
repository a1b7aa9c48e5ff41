// The books that settling is measured on: filled and emptied at once, and the statement that a worker is compared with.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Db } from "@drawdown/db";

/** Makes accounts of a million units each, and remembers them as they are. */
export async function fillAccounts(db: Db, accounts: number): Promise<void> {
  const id = "('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid";
  const each = `FROM generate_series(0, ${accounts - 1}) AS n`;
  await db.$client.query(`INSERT INTO data.user_profile (id) SELECT ${id} ${each};
    INSERT INTO data.account_balance (id, owner_userid, balance) SELECT ${id}, ${id}, 1000000 ${each};
    CREATE TABLE public.kept AS SELECT * FROM data.account_balance_audit`);
}

/** The books without a single deduction. */
export async function emptyBooks(db: Db): Promise<void> {
  const client = await db.$client.connect();
  try {
    await client.query(`TRUNCATE data.usage_log, data.account_balance_audit;
      SET session_replication_role = replica;
      INSERT INTO data.account_balance_audit OVERRIDING SYSTEM VALUE SELECT * FROM public.kept;
      UPDATE data.account_balance SET balance = 1000000, total_debits = 0`);
  } finally {
    client.release(true); // or the pool would wait for it when the stage ends
  }
  for (const table of ["account_balance", "account_balance_audit"])
    await db.$client.query(`VACUUM (ANALYZE) data.${table}`);
  await db.$client.query("CHECKPOINT");
}

/** Keeps the rows that are in usage_log, for `insertByPsql`. */
export async function stageRows(db: Db): Promise<void> {
  await db.$client.query(`DROP TABLE IF EXISTS public.staged;
    CREATE UNLOGGED TABLE public.staged AS SELECT * FROM data.usage_log ORDER BY id;
    ALTER TABLE public.staged DROP COLUMN id`);
  await db.$client.query("ANALYZE public.staged");
}

const insert = (columns: string) => `
WITH logged AS (
  INSERT INTO data.usage_log (${columns}) SELECT ${columns} FROM public.staged
  RETURNING id, deduction_id, account_id, account_type, cost, created_at, balance_before, balance_after, account_seq, stream_key, stream_entry_id
), audited AS (
  INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id, created_at,
      sync_status, balance_before, balance_after, account_seq, stream_key, stream_entry_id)
  SELECT deduction_id, account_id, account_type, -cost, 'api_gateway', 'usage', id, created_at, 'completed', balance_before, balance_after,
      account_seq, stream_key, stream_entry_id FROM logged
)
UPDATE data.account_balance b SET balance = b.balance - s.total, total_debits = b.total_debits + s.total
  FROM (SELECT account_id, sum(cost) AS total FROM logged GROUP BY account_id) s
 WHERE b.id = s.account_id`;

/** One statement for all staged rows, by psql, or where there is none by a connection of its own. Returns what it took, in ms. */
export async function insertByPsql(db: Db, databaseUrl: string): Promise<number> {
  const { rows } = await db.$client.query<{ columns: string }>(
    "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns FROM pg_attribute WHERE attrelid = 'public.staged'::regclass AND attnum > 0 AND NOT attisdropped",
  );
  const statement = insert(rows[0]?.columns ?? "");
  const args = [databaseUrl, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "\\timing on", "-c", statement];
  try {
    const { stdout } = await promisify(execFile)("psql", args);
    return Number(/Time: ([\d.]+) ms/.exec(stdout)?.[1]);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const client = await db.$client.connect();
  try {
    const startedAt = performance.now();
    await client.query(statement);
    return performance.now() - startedAt;
  } finally {
    client.release();
  }
}
