import { readFile } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import { waitFor } from "@drawdown/local-stack";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findAccount, findUnapplied, findVirtualKey, migrate, postCredit } from "../src/index.ts";
import { type Books, credits, openBooks } from "./books.ts";

const legacySchema = await readFile(new URL("legacy-schema.sql", import.meta.url), "utf8");
const userAccount = "00000000-0000-4000-8000-000000000030";
const tenantAccount = "00000000-0000-4000-8000-000000000031";

let books: Books;
beforeEach(async () => {
  books = await openBooks();
  await books.rows("DROP SCHEMA data CASCADE");
  await books.rows(legacySchema);
});
afterEach(() => books.close());

/** An older worker: a transaction of two inserts for each deduction, one after the other, until it is told to stop. */
function olderWorker(name: string) {
  const stopped = new AbortController();
  const written: string[] = [];
  const run = async () => {
    const client = new pg.Client({ connectionString: books.url });
    await client.connect();
    try {
      for (let n = 0; !stopped.signal.aborted; n++) {
        const id = `${name}_${n}`;
        await client.query("BEGIN");
        const { rows } = await client.query<{ id: string | number }>(
          `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at,
             input_tokens, output_tokens, metadata_json, sync_status)
           VALUES ($1, 'vk_user', $2, 'user', 'openai', 'gpt-4o', 0.5, 'USD', $3, 3, 4, $4, 'synced')
           ON CONFLICT (deduction_id) DO UPDATE SET sync_status = EXCLUDED.sync_status RETURNING id`,
          [id, userAccount, new Date(), JSON.stringify({ n })],
        );
        await client.query(
          `INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id, created_at, sync_status)
           VALUES ($1, $2, 'user', -0.5, 'api_gateway', 'usage', $3, $4, 'synced') ON CONFLICT (deduction_id) DO NOTHING`,
          [id, userAccount, rows[0]?.id, new Date()],
        );
        await client.query("COMMIT");
        written.push(id);
        await turn();
      }
    } finally {
      await client.end();
    }
  };
  const done = run();
  done.catch(() => {}); // the test awaits it
  return {
    written,
    stop: () => {
      stopped.abort();
      return done;
    },
  };
}

describe("Rule: a database of the replaced system is taken over with its rows", () => {
  test("no balance changes, and the books are clean", async () => {
    const before = await books.rows(
      "SELECT id, balance::numeric(28, 9) AS balance FROM data.account_balance ORDER BY id",
    );
    await migrate(books.url);
    expect(await books.rows("SELECT id, balance FROM data.account_balance ORDER BY id")).toEqual(before);
    expect(before).toEqual([
      { id: userAccount, balance: "123.456789000" },
      { id: tenantAccount, balance: "0.000000000" },
    ]);
    for (const { id, balance } of before) {
      expect(await credits(books, id ?? "")).toMatchObject([
        {
          amount: balance,
          credits_version: "1",
          source: "sql",
          audit_category: "adjustment",
          reason: "balance taken over from the replaced system",
          applied: false,
        },
      ]);
    }
    const unclean = await books.rows(
      `SELECT * FROM data.account_balance a WHERE balance + total_debits <> total_credits
       OR total_credits <> (SELECT sum(amount) FROM data.account_balance_audit WHERE account_id = a.id AND credits_version IS NOT NULL)`,
    );
    expect(unclean).toEqual([]);
    expect((await findUnapplied(books.db, 10)).map((account) => account.id)).toEqual([userAccount, tenantAccount]);
  });

  test("history is settled, at the time when it was created, in UTC; its values are as they were", async () => {
    await migrate(books.url);
    expect(
      await books.rows("SELECT count(*) FROM data.usage_log WHERE settled_at IS DISTINCT FROM created_at"),
    ).toEqual([{ count: "0" }]);
    const [row] = await books.rows(
      `SELECT settled_at AT TIME ZONE 'UTC' = timestamp '2025-03-30 02:30:00' AS utc, cost, balance_before, balance_after,
              metadata_json->>'n' AS n, sync_status, account_seq, input_tokens
       FROM data.usage_log WHERE deduction_id = 'old_60'`,
    );
    expect(row).toEqual({
      utc: true,
      cost: "0.000060000",
      balance_before: "1000.000000000",
      balance_after: "999.999940000",
      n: "1",
      sync_status: "synced",
      account_seq: null,
      input_tokens: "60",
    });
  });

  test("the tables have our types, and nothing of the old system refuses what we write", async () => {
    await migrate(books.url);
    const narrow = await books.rows(
      `SELECT attrelid::regclass AS tab, attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
       JOIN pg_class c ON c.oid = attrelid
       WHERE c.relnamespace = 'data'::regnamespace AND c.relkind = 'r' AND attnum > 0 AND NOT attisdropped
         AND c.relname IN ('usage_log', 'account_balance', 'account_balance_audit')
         AND format_type(atttypid, atttypmod) !~ '^(text|uuid|bigint|integer|jsonb|timestamp with time zone|numeric.(18|28),9.)$'`,
    );
    expect(narrow).toMatchObject([{ attname: "overdue_amount_taken_over" }]);
    await books.rows(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, balance_before, settled_at)
       VALUES (repeat('d', 512), 'a key that nobody has', $1, 'user', 'p', repeat('m', 512), 0.000000001, 5000000000, now())`,
      [userAccount],
    );
    // What we do not know, or know and leave empty, was required there.
    await books.rows("INSERT INTO data.user_profile DEFAULT VALUES");
    await books.rows("INSERT INTO data.tenant (name) VALUES ('new')");
    await books.rows(
      "INSERT INTO data.model_price (provider, model, price_model, request_price) VALUES ('openai', 'new', 'per_request', 1)",
    );
    await books.rows(
      "UPDATE data.account_balance SET balance = balance - 200, total_debits = total_debits + 200 WHERE id = $1",
      [userAccount],
    );
    await postCredit(books.db, {
      accountId: userAccount,
      amount: "1",
      category: "refund",
      reference: "r",
      reason: "r",
      actor: "a",
    });
    expect(await findAccount(books.db, userAccount)).toMatchObject({
      balance: "-75.543211000",
      overdueAmount: "75.543211000",
      totalCredits: "124.456789000",
      creditsVersion: 2n,
    });
  });

  test("settling is silent: the old trigger on the balance no longer sends our notification", async () => {
    await migrate(books.url);
    const client = new pg.Client({ connectionString: books.url });
    await client.connect();
    const heard: string[] = [];
    client.on("notification", ({ payload }) => heard.push(payload ?? ""));
    await client.query("LISTEN account_balance_updated; LISTEN marker");
    await client.query("UPDATE data.account_balance SET balance = balance - 1, total_debits = total_debits + 1");
    await client.query("NOTIFY marker, 'end'");
    await waitFor(() => heard.length > 0, { timeoutMs: 5_000, what: "the marker" });
    await client.end();
    expect(heard).toEqual(["end"]);
  });

  test("views answer as before, to whom they answered before; an old key is found but has no secret", async () => {
    const before = await books.rows("SELECT * FROM data.billing_accounts ORDER BY virtual_key");
    await migrate(books.url);
    const after = await books.rows("SELECT * FROM data.billing_accounts ORDER BY virtual_key");
    const same = ({ virtual_key, account_balance_id, account_id, account_type }: Record<string, string | null>) => [
      virtual_key,
      account_balance_id,
      account_id,
      account_type,
    ];
    expect(after.map(same)).toEqual(before.map(same));
    expect(after).toHaveLength(2);
    expect(
      await books.rows("SELECT has_table_privilege('pg_monitor', 'data.billing_accounts', 'SELECT') AS public"),
    ).toEqual([{ public: true }]);
    expect(await findVirtualKey(books.db, "vk_tenant")).toMatchObject({
      secretSha256: null,
      accountBalanceId: tenantAccount,
      accountType: "tenant",
      customerTypeId: "00000000-0000-4000-8000-000000000001",
    });
  });

  test("a price whose unit nobody knows is kept, and holds from a day that does not come", async () => {
    await migrate(books.url);
    expect(
      await books.rows(
        "SELECT provider, model, input_price, valid_from > now() + interval '1000 years' AS never FROM data.model_price",
      ),
    ).toEqual([
      { provider: "openai", model: "gpt-4o", input_price: "0.000002500000", never: true },
      { provider: "openai", model: "gpt-4o", input_price: "0.000005000000", never: true },
    ]);
  });

  test("what cannot be taken over stops the migration and changes nothing", async () => {
    await books.rows(
      "INSERT INTO data.account_balance (owner_userid, balance) SELECT owner_userid, 1 FROM data.account_balance",
    );
    await expect(migrate(books.url)).rejects.toThrow("data.account_balance cannot be taken over");
    expect(
      await books.rows(
        "SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'data.usage_log'::regclass AND attname = 'cost'",
      ),
    ).toEqual([{ type: "numeric(12,6)" }]);
  });
});

describe("Rule: other tables that the replaced system may have had are taken over too", () => {
  // Ids as text, floats, JSON as text, no defaults, no constraints but unique indexes, some with our names.
  const looseSchema = `
    DROP SCHEMA data CASCADE;
    CREATE SCHEMA data;
    CREATE TABLE data.user_profile (id char(36) PRIMARY KEY);
    CREATE TABLE data.account_balance (id text PRIMARY KEY, owner_userid text REFERENCES data.user_profile (id), owner_tenantid text,
      balance double precision, total_credits integer);
    CREATE TABLE data.usage_log (id bigint PRIMARY KEY, deduction_id text NOT NULL, virtual_key text, account_id text, account_type text,
      provider text, model text, cost numeric, currency char(3), created_at timestamptz, input_tokens numeric, output_tokens numeric,
      metadata_json text, sync_status integer, CONSTRAINT usage_log_request_index UNIQUE (id, deduction_id));
    CREATE UNIQUE INDEX usage_log_deduction_id_key ON data.usage_log (deduction_id);
    CREATE TABLE data.account_balance_audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, deduction_id text UNIQUE, account_id text,
      account_type text, amount double precision, source text, audit_category text, usage_log_id bigint, created_at date, sync_status text);
    INSERT INTO data.user_profile VALUES ('00000000-0000-4000-8000-000000000020'), ('00000000-0000-4000-8000-000000000021');
    INSERT INTO data.account_balance VALUES ('${userAccount}', '00000000-0000-4000-8000-000000000020', NULL, 0.1, 7),
      ('${tenantAccount}', '00000000-0000-4000-8000-000000000021', '', NULL, NULL);
    INSERT INTO data.usage_log VALUES
      (7, 'one', 'k', '${userAccount}', 'user', 'p', 'm', 0.1, 'USD', now(), 1, 2, '{"a": 1}', 1),
      (8, 'two', NULL, '${userAccount}', 'user', 'p', 'm', 0.000000001, NULL, NULL, NULL, NULL, 'not JSON', 1);
    INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, created_at) VALUES ('one', '${userAccount}', 'user', -0.1, '2025-01-31')`;

  test("loose types, missing defaults, names in the way", async () => {
    await books.rows(looseSchema);
    await migrate(books.url);
    expect(
      await books.rows(
        "SELECT id, balance, total_credits, total_credits_taken_over AS old FROM data.account_balance ORDER BY id",
      ),
    ).toEqual([
      { id: userAccount, balance: "0.100000000", total_credits: "0.100000000", old: 7 },
      { id: tenantAccount, balance: "0.000000000", total_credits: "0.000000000", old: null },
    ]);
    expect(
      await books.rows(
        "SELECT id, cost, metadata_json, currency, input_tokens, sync_status, settled_at = coalesce(created_at, settled_at) AS settled FROM data.usage_log ORDER BY id",
      ),
    ).toEqual([
      {
        id: "7",
        cost: "0.100000000",
        metadata_json: { a: 1 },
        currency: "USD",
        input_tokens: "1",
        sync_status: "1",
        settled: true,
      },
      {
        id: "8",
        cost: "0.000000001",
        metadata_json: "not JSON",
        currency: null,
        input_tokens: null,
        sync_status: "1",
        settled: true,
      },
    ]);
    expect(
      await books.rows(
        "SELECT amount, created_at AT TIME ZONE 'UTC' = '2025-01-31' AS utc FROM data.account_balance_audit WHERE deduction_id = 'one'",
      ),
    ).toEqual([{ amount: "-0.100000000", utc: true }]);
    const [added] = await books.rows<{ id: string }>(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost) VALUES ('three', 'k', $1, 'user', 'p', 'm', 1)
       ON CONFLICT (deduction_id) DO UPDATE SET settled_at = now() RETURNING id`,
      [userAccount],
    );
    expect(BigInt(added?.id ?? 0)).toBeGreaterThan(8n);
    await postCredit(books.db, { accountId: tenantAccount, amount: "1", category: "top_up", reason: "r", actor: "a" });
    expect(await credits(books, tenantAccount)).toMatchObject([{ amount: "0.000000000" }, { amount: "1.000000000" }]);
  });

  test("an account that could never be settled again stops the migration", async () => {
    await books.rows(
      `${looseSchema}; UPDATE data.account_balance SET owner_tenantid = NULL, owner_userid = NULL WHERE id = '${tenantAccount}'`,
    );
    await expect(migrate(books.url)).rejects.toThrow(
      /data.account_balance cannot be taken over: .*account_balance_owner_check/,
    );
  });
});

describe("Rule: older workers go on inserting before, during and after, and none is refused", () => {
  test("one that holds what migrate needs next is waited for, and is not the victim of a deadlock", async () => {
    const worker = new pg.Client({ connectionString: books.url });
    await worker.connect();
    await worker.query("BEGIN");
    await worker.query(
      `INSERT INTO data.account_balance_audit (account_id, account_type, amount, source, audit_category)
       VALUES ($1, 'user', 1, 'portal', 'top_up')`,
      [userAccount],
    );
    const lines: string[] = [];
    const migrating = migrate(books.url, { onProgress: (line) => lines.push(line) });
    migrating.catch(() => {}); // awaited below
    await waitFor(() => lines.includes("the tables are in use, trying again"), {
      timeoutMs: 10_000,
      what: "migrate to yield",
    });
    await worker.query(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost)
       VALUES ('other_order', 'vk_user', $1, 'user', 'openai', 'gpt-4o', 1)`,
      [userAccount],
    );
    await worker.query("COMMIT");
    await worker.end();
    await migrating;
    expect(
      await books.rows(
        "SELECT settled_at IS NOT NULL AS history FROM data.usage_log WHERE deduction_id = 'other_order'",
      ),
    ).toEqual([{ history: true }]);
  });

  test("4 workers in a loop, and the business system topping up", async () => {
    const workers = ["a", "b", "c", "d"].map(olderWorker);
    const writtenBy = () => workers.reduce((sum, worker) => sum + worker.written.length, 0);
    await waitFor(() => workers.every((worker) => worker.written.length > 20), {
      timeoutMs: 10_000,
      what: "rows before",
    });
    let topUps = 0;
    const stopped = new AbortController();
    const topUp = (async () => {
      for (; !stopped.signal.aborted; topUps++) {
        await books.rows("UPDATE data.account_balance SET balance = balance + 0.01 WHERE id = $1", [userAccount]);
        await turn();
      }
    })();
    await migrate(books.url);
    const atMigration = writtenBy();
    await waitFor(() => writtenBy() > atMigration + 80, { timeoutMs: 10_000, what: "rows after" });
    stopped.abort();
    await topUp;
    await Promise.all(workers.map((worker) => worker.stop()));

    const ids = workers.flatMap((worker) => worker.written);
    const [found] = await books.rows(
      `SELECT count(*), count(*) FILTER (WHERE u.settled_at IS NULL) > 0 AS half_settled, count(*) FILTER (WHERE u.settled_at IS NOT NULL) > 0 AS history
       FROM data.usage_log u JOIN data.account_balance_audit a USING (deduction_id) WHERE deduction_id = ANY($1) AND a.usage_log_id = u.id`,
      [ids],
    );
    expect(found).toEqual({ count: String(ids.length), half_settled: true, history: true });
    const account = await books.rows(
      `SELECT balance = 123.456789 + $2 * 0.01 AS balance, total_credits = balance AS credits, total_debits = 0 AS debits,
              balance = (SELECT sum(amount) FROM data.account_balance_audit WHERE account_id = a.id AND credits_version IS NOT NULL) AS audited
       FROM data.account_balance a WHERE id = $1`,
      [userAccount, topUps],
    );
    expect(account).toEqual([{ balance: true, credits: true, debits: true, audited: true }]);
  });
});
