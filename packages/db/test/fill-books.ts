// Books with as many rows as asked for, quickly: real tables with all their indexes, filled by INSERT … SELECT. The chains are sound
// (before, after, seq), one account has three of ten deductions, and everything that a list filters by occurs, the unusual rarely.
import type { Db } from "../src/index.ts";

/** The quiet account has a tenth of all deductions, the oldest. */
export type FilledBooks = { bigAccountId: string; smallAccountId: string; quietAccountId: string };

const ACCOUNTS = 30_000;
const DAYS = 90;
/** The second refers to the first. */
const GROWING = ["usage_log", "account_balance_audit"];

export type FillOptions = {
  /** What a list can filter by and is rare occurs this often for each time that it occurs in other books; 1 by default. */
  unusual?: number;
  /** On a private server, by its superuser: no foreign key is looked up for what is known to be there, and no log is written. */
  unchecked?: boolean;
};

/** Fills an empty, migrated database. Ten million rows take minutes: in two halves, and indexes are built over rows that are there. */
export async function fillBooks(db: Db, rows: number, options: FillOptions = {}): Promise<FilledBooks> {
  const run = async (sql: string, values: unknown[] = []) => {
    await db.$client.query(sql, values);
  };
  await fillAccounts(run);
  if (options.unchecked) for (const name of GROWING.toReversed()) await run(`ALTER TABLE data.${name} SET UNLOGGED`);
  const every = (n: number) => Math.max(40, Math.round(n / (options.unusual ?? 1)));
  const unusual = [every(500), every(5_000), every(20_000), every(50_000), every(3_000)];
  const until = new Date();
  const half = Math.ceil(rows / 2);
  const halves: [number, number][] = [
    [1, half],
    [half + 1, rows],
  ];
  await withoutIndexes(db, async () => {
    await inTurns(db, 2, options, halves, (work, [from, to]) =>
      work(usage(from, to, unusual), [rows, ACCOUNTS, DAYS, until]),
    );
    await inTurns(db, 2, options, halves, (work, part) => work(audits, part));
  });
  await run(balances);
  await fillTheRest(run);
  for (const name of GROWING)
    await run(`SELECT setval(pg_get_serial_sequence('data.${name}', 'id'), (SELECT max(id) FROM data.${name}))`);
  await run("VACUUM (ANALYZE)");
  return { bigAccountId: accountId(0), smallAccountId: accountId(7), quietAccountId: accountId(9) };
}

/** An index that is built over rows which are there takes a fraction of one that grows with each. All are as they were in the end. */
async function withoutIndexes(db: Db, work: () => Promise<void>): Promise<void> {
  const { rows } = await db.$client.query<{ name: string; definition: string }>(
    `SELECT indexrelid::regclass AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index x
      WHERE indrelid = ANY($1::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid)`,
    [GROWING.map((name) => `data.${name}`)],
  );
  for (const { name } of rows) await db.$client.query(`DROP INDEX ${name}`);
  await work();
  await inTurns(db, 2, {}, rows, (run, { definition }) => run(definition));
}

/** Works through a list on so many connections at once. */
async function inTurns<T>(
  db: Db,
  connections: number,
  { unchecked }: FillOptions,
  list: T[],
  work: (run: Run, one: T) => Promise<void>,
) {
  const rest = list[Symbol.iterator]();
  const lane = async () => {
    const client = await db.$client.connect();
    const run = async (text: string, values: unknown[] = []) => {
      await client.query(text, values);
    };
    try {
      await run("SET maintenance_work_mem = '512MB'");
      await run("SET work_mem = '512MB'");
      await run("SET max_parallel_maintenance_workers = 0");
      if (unchecked) await run("SET session_replication_role = replica");
      for (const one of rest) await work(run, one);
    } finally {
      client.release(true);
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
}

type Run = (sql: string, values?: unknown[]) => Promise<void>;

const accountId = (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
const uuidOf = (n: string) => `('00000000-0000-4000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`;

/** Every fiftieth account is a tenant's. Owners have the ids of their accounts. */
async function fillAccounts(run: Run): Promise<void> {
  const each = `generate_series(0, ${ACCOUNTS - 1}) AS n`;
  await run("INSERT INTO data.customer_type (id, name) VALUES ('00000000-0000-4000-9000-000000000001', 'partner')");
  await run(`INSERT INTO data.tenant (id, name) SELECT ${uuidOf("n")}, 'Tenant ' || n FROM ${each} WHERE n % 50 = 49`);
  await run(`INSERT INTO data.user_profile (id, name, email, tenant_id, customer_type_id)
    SELECT ${uuidOf("n")}, CASE WHEN n % 3 > 0 THEN 'Person ' || n END, 'p' || n || '@example.com', CASE WHEN n % 50 = 49 THEN ${uuidOf("n")} END,
           CASE WHEN n % 100 = 1 THEN '00000000-0000-4000-9000-000000000001'::uuid END FROM ${each}`);
  await run(
    `INSERT INTO data.virtual_key (virtual_key, user_id, name) SELECT 'vk_' || n, ${uuidOf("n")}, 'Key ' || n FROM ${each}`,
  );
  await run(`INSERT INTO data.account_balance (id, owner_userid, owner_tenantid, balance, created_at)
    SELECT ${uuidOf("n")}, CASE WHEN n % 50 <> 49 THEN ${uuidOf("n")} END, CASE WHEN n % 50 = 49 THEN ${uuidOf("n")} END,
           CASE WHEN n % 1000 = 3 THEN 0 ELSE 1000000 END, now() - (100 - n::float8 / ${ACCOUNTS}) * interval '1 day' FROM ${each}`);
  await run(
    `UPDATE data.account_balance SET status = 'frozen' WHERE id IN (SELECT ${uuidOf("n")} FROM ${each} WHERE n % 500 = 5)`,
  );
  await run(`UPDATE data.account_balance_audit SET account_seq = 1, balance_before = 0, balance_after = amount, applied_at = now(),
      sync_status = 'completed', stream_key = 'stream:deductions:0', stream_entry_id = '1-' || id, created_at = now() - interval '100 days'
    WHERE credits_version = 1`);
  await run(
    "UPDATE data.account_balance_audit SET applied_at = now(), sync_status = 'completed' WHERE credits_version > 1",
  );
}

/** What every deduction is made from: $1 rows, $2 accounts, $3 days, $4 the end of them. */
const drawn = (from: number, to: number) => `
SELECT i, CASE WHEN i <= $1::bigint / 10 THEN 9 WHEN i % 10 < 3 THEN 0 ELSE (i * 7919) % $2 END AS a, (i % 100 + 1) * 0.000001 AS cost, i % 1000 <> 17 AS own,
       $4::timestamptz - $3::int * interval '1 day' + i * ($3::int * interval '1 day' / $1::bigint) AS at
  FROM generate_series(${from}::bigint, ${to}::bigint) AS i`;

/** The deductions with these ids; chains go on from what those before drew. */
const usage = (from: number, to: number, [estimated, partial, mismatch, unsettled, flagged]: number[]) => `
INSERT INTO data.usage_log (id, deduction_id, virtual_key, account_id, account_type, provider, model, cost, created_at, input_tokens, output_tokens,
    total_tokens, metadata_json, balance_before, balance_after, account_seq, request_id, usage_source, stream_key, stream_entry_id, consumer,
    delivery_count, settled_at, balance_check)
OVERRIDING SYSTEM VALUE
SELECT i, 'ded_' || ms || '_' || i, 'vk_' || a, ${uuidOf("a")}, CASE WHEN a % 50 = 49 THEN 'tenant' ELSE 'user' END,
       'provider-' || i % 4, 'model-' || i % 40, cost, at, i % 1000, i % 100, i % 1000 + i % 100,
       CASE WHEN i % ${flagged} = 1 THEN '{"price_id": "1", "customer_type_mismatch": true}'::jsonb ELSE '{"price_id": "1"}' END,
       CASE WHEN own THEN opening - before END, CASE WHEN own THEN opening - before - cost END, CASE WHEN own THEN seq END,
       CASE WHEN own THEN 'req-' || i END,
       CASE WHEN NOT own THEN NULL WHEN i % ${estimated} = 1 THEN 'estimated' WHEN i % ${partial} = 2 THEN 'partial' ELSE 'provider' END,
       'stream:deductions:' || a % 16, ms || '-' || i % 7, 'worker-1', 1, CASE WHEN i % ${unsettled} <> 12 THEN at + interval '40 ms' END,
       CASE WHEN NOT own THEN 'missing' WHEN i % ${mismatch} = 4 THEN 'mismatch' ELSE 'ok' END
  FROM (SELECT i.*, coalesce(b.cost, 0) + sum(CASE WHEN own THEN i.cost ELSE 0 END) OVER chain - CASE WHEN own THEN i.cost ELSE 0 END AS before,
               coalesce(b.links, 0) + count(*) FILTER (WHERE own) OVER chain + 1 AS seq, CASE WHEN a % 1000 = 3 THEN 0 ELSE 1000000 END AS opening,
               floor(extract(epoch FROM at) * 1000)::bigint AS ms
          FROM (${drawn(from, to)}) i
          LEFT JOIN (SELECT a, sum(cost) AS cost, count(*) AS links FROM (${drawn(1, from - 1)}) d WHERE own GROUP BY a) b USING (a)
        WINDOW chain AS (PARTITION BY a ORDER BY i)) r
 ORDER BY i`;

/** Their audit rows, after those of the opening credits. */
const audits = `
INSERT INTO data.account_balance_audit (id, deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id, created_at,
    balance_before, balance_after, account_seq, stream_key, stream_entry_id)
OVERRIDING SYSTEM VALUE
SELECT 1000000 + id, deduction_id, account_id, account_type, -cost, 'api_gateway', 'usage', id, created_at, balance_before, balance_after, account_seq,
       stream_key, stream_entry_id
  FROM data.usage_log WHERE settled_at IS NOT NULL AND id BETWEEN $1 AND $2 ORDER BY id`;

const balances = `
UPDATE data.account_balance b SET balance = balance - s.cost, total_debits = s.cost
  FROM (SELECT account_id, sum(cost) AS cost FROM data.usage_log WHERE account_seq IS NOT NULL AND settled_at IS NOT NULL GROUP BY 1) s
 WHERE b.id = s.account_id`;

async function fillTheRest(run: Run): Promise<void> {
  await run(`INSERT INTO data.operator_action (actor, role, action, reason, result, started_at, finished_at)
    SELECT 'operator-' || n % 7, 'support', (ARRAY['refund', 'replay', 'discard', 'credit'])[n % 4 + 1], 'because', '{}',
           now() - n * interval '5 minutes', CASE WHEN n % 5000 > 0 THEN now() END FROM generate_series(1, 20000) AS n`);
  await run(`INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, deduction_id, account_id, cost, error_class, error_message, state)
    SELECT 'stream:deductions:' || n % 16, n || '-0', convert_to('entry ' || n, 'UTF8'), '{"cost": "1"}', 'ded_letter_' || n, ${uuidOf("n")}::text, 1,
           (ARRAY['22003', 'unreadable', 'unknown_account'])[n % 3 + 1], 'it failed', CASE WHEN n % 4 = 0 THEN 'discarded' ELSE 'open' END
      FROM generate_series(1, 20000) AS n`);
  await run(`INSERT INTO data.alert (level, kind, key, message, opened_at, resolved_at)
    SELECT CASE WHEN n % 9 = 0 THEN 'critical' ELSE 'warning' END, 'backlog', n::text, 'm', now() - n * interval '1 minute',
           CASE WHEN n % 100 > 0 THEN now() END FROM generate_series(1, 20000) AS n`);
  await run(`INSERT INTO data.refusal (created_at, account_id, virtual_key, request_id, code, currency, balance, held, credit_limit, required)
    SELECT now() - n * interval '1 minute', ${uuidOf("n % 200")}, 'vk_' || n % 200, 'refused-' || n, 'insufficient_balance', 'USD', 0, 0, 0, 1
      FROM generate_series(1, 20000) AS n`);
  await run(`INSERT INTO data.uncaptured_hold (hold_id, account_id, virtual_key, request_id, provider, model, amount, opened_at, expired_at)
    SELECT 'ded_hold_' || n, ${uuidOf("n % 200")}, 'vk_' || n % 200, 'held-' || n, 'provider-1', 'model-1', 1, now() - n * interval '1 minute',
           now() - n * interval '1 minute' FROM generate_series(1, 20000) AS n`);
}
