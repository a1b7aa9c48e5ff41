import { waitFor } from "@drawdown/local-stack";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listen } from "../src/index.ts";
import { type Books, credits, newAccount, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

const settle = "UPDATE data.account_balance SET balance = balance - $2, total_debits = total_debits + $2 WHERE id = $1";

describe("Rule: any change of balance + total_debits is a credit, by definition", () => {
  test("an account that is opened has version 1 and its opening balance as its first credit", async () => {
    const account = await newAccount(books, "12.5");
    expect(await credits(books, account.id)).toEqual([
      {
        amount: "12.500000000",
        source: "sql",
        audit_category: "top_up",
        credits_version: "1",
        reason: "account opened",
        actor: books.user,
        reference: null,
        sync_status: "pending",
        account_type: "user",
        applied: false,
      },
    ]);
  });

  test("an account that is opened with nothing, or with a debt, has its opening row too", async () => {
    const empty = await newAccount(books);
    const debtor = await newAccount(books, "-3");
    expect(await credits(books, empty.id)).toMatchObject([{ amount: "0.000000000", audit_category: "adjustment" }]);
    expect(await credits(books, debtor.id)).toMatchObject([{ amount: "-3.000000000", audit_category: "adjustment" }]);
  });

  test("a hand-written UPDATE of balance is a credit, to the nano", async () => {
    const account = await newAccount(books, "1");
    await books.rows("UPDATE data.account_balance SET balance = balance + 0.000000001 WHERE id = $1", [account.id]);
    await books.rows("UPDATE data.account_balance SET balance = balance - 0.5 WHERE id = $1", [account.id]);
    const [, up, down] = await credits(books, account.id);
    expect(up).toMatchObject({ amount: "0.000000001", audit_category: "top_up", credits_version: "2", source: "sql" });
    expect(down).toMatchObject({ amount: "-0.500000000", audit_category: "adjustment", credits_version: "3" });
  });

  test("an older producer's deduction lowers balance alone: a negative credit with the source that settling names", async () => {
    const account = await newAccount(books, "10");
    const client = await books.db.$client.connect();
    try {
      await client.query("BEGIN");
      await client.query("SELECT set_config('drawdown.source', 'older_producer', true)");
      await client.query(
        "UPDATE data.account_balance SET balance = balance - 5, total_debits = total_debits + 3 WHERE id = $1",
        [account.id],
      );
      await client.query("COMMIT");
    } finally {
      client.release();
    }
    const [, drawn] = await credits(books, account.id);
    expect(drawn).toMatchObject({
      amount: "-2.000000000",
      source: "older_producer",
      audit_category: "adjustment",
      actor: null,
    });
  });

  test("settling moves both: no version, no audit row, no function runs", async () => {
    const account = await newAccount(books, "10");
    const client = await books.db.$client.connect();
    try {
      await client.query("BEGIN");
      await client.query("SET LOCAL track_functions = 'all'");
      await client.query(settle, [account.id, "2.5"]);
      await client.query(settle, [account.id, "0"]);
      const ran = await client.query(
        "SELECT funcname FROM pg_stat_xact_user_functions WHERE schemaname = 'data' AND calls > 0",
      );
      expect(ran.rows).toEqual([]);
      await client.query("UPDATE data.account_balance SET balance = balance + 1 WHERE id = $1", [account.id]);
      const run = await client.query("SELECT funcname FROM pg_stat_xact_user_functions WHERE schemaname = 'data'");
      expect(run.rowCount).toBeGreaterThan(0);
      await client.query("COMMIT");
    } finally {
      client.release();
    }
    expect(await credits(books, account.id)).toHaveLength(2);
    expect(
      await books.rows("SELECT balance, total_debits, total_credits FROM data.account_balance WHERE id = $1", [
        account.id,
      ]),
    ).toEqual([{ balance: "8.500000000", total_debits: "2.500000000", total_credits: "11.000000000" }]);
  });

  test("a limit, a status and a currency have versions and rows of amount 0 that say what changed", async () => {
    const account = await newAccount(books, "1");
    await books.rows("UPDATE data.account_balance SET credit_limit = 5 WHERE id = $1", [account.id]);
    await books.rows("UPDATE data.account_balance SET status = 'frozen' WHERE id = $1", [account.id]);
    await books.rows("UPDATE data.account_balance SET status = 'active', currency = 'EUR' WHERE id = $1", [account.id]);
    expect((await credits(books, account.id)).slice(1)).toMatchObject([
      {
        amount: "0.000000000",
        audit_category: "adjustment",
        credits_version: "2",
        reason: "credit limit 0.000000000 -> 5.000000000",
      },
      { amount: "0.000000000", audit_category: "adjustment", credits_version: "3", reason: "status active -> frozen" },
      { credits_version: "4", reason: "status frozen -> active, currency USD -> EUR" },
    ]);
  });

  test("a version written by hand is ignored", async () => {
    const account = await newAccount(books, "1");
    await books.rows("UPDATE data.account_balance SET credits_version = 99 WHERE id = $1", [account.id]);
    await books.rows("UPDATE data.account_balance SET credits_version = 99, balance = 2 WHERE id = $1", [account.id]);
    const rows = await books.rows("SELECT credits_version FROM data.account_balance WHERE id = $1", [account.id]);
    expect(rows).toEqual([{ credits_version: "2" }]);
    expect(await credits(books, account.id)).toHaveLength(2);
  });

  test("a role that may update accounts and nothing else writes the books through the trigger", async () => {
    const account = await newAccount(books, "1");
    const client = await books.db.$client.connect();
    try {
      await client.query("BEGIN");
      await client.query("CREATE ROLE business_system");
      await client.query("GRANT USAGE ON SCHEMA data TO business_system");
      await client.query("GRANT SELECT, UPDATE ON data.account_balance TO business_system");
      await client.query("SET LOCAL ROLE business_system");
      await client.query("UPDATE data.account_balance SET balance = balance + 1 WHERE id = $1", [account.id]);
      await client.query("RESET ROLE");
      const rows = await client.query(
        "SELECT amount FROM data.account_balance_audit WHERE account_id = $1 ORDER BY id",
        [account.id],
      );
      expect(rows.rows).toEqual([{ amount: "1.000000000" }, { amount: "1.000000000" }]);
    } finally {
      await client.query("ROLLBACK");
      client.release();
    }
  });
});

describe("Rule: versions are gapless, in commit order, and their amounts sum to total_credits", () => {
  test("under 400 credits, settles and limits at once", async () => {
    const account = await newAccount(books, "1000");
    const seen: bigint[] = [];
    const stop = new AbortController();
    const listening = listen(books.url, ["account_balance_updated"], {
      signal: stop.signal,
      onNotification: (_channel, payload) => {
        const { account_balance_id, credits_version } = JSON.parse(payload) as Record<string, string>;
        if (account_balance_id === account.id) seen.push(BigInt(credits_version ?? ""));
      },
      onConnected: () => connected.resolve(),
    });
    const connected = Promise.withResolvers<void>();
    await connected.promise;
    const work = Array.from({ length: 400 }, (_, n) => {
      if (n % 4 === 0) return books.rows(settle, [account.id, "1.000000001"]);
      if (n % 4 === 1)
        return books.rows("UPDATE data.account_balance SET credit_limit = $2 WHERE id = $1", [account.id, n]);
      if (n % 4 === 2)
        return books.rows("UPDATE data.account_balance SET balance = balance + 0.1 WHERE id = $1", [account.id]);
      return books.rows("SELECT data.post_credit($1, 0.000000007, 'top_up', NULL, 'test', 'test')", [account.id]);
    });
    await Promise.all(work);
    await waitFor(() => seen.at(-1) === 301n, { timeoutMs: 10_000, what: "the last notification" });
    stop.abort();
    await listening;

    const rows = await credits(books, account.id);
    const gapless = Array.from({ length: 301 }, (_, n) => String(n + 1));
    expect(rows.map((row) => row.credits_version)).toEqual(gapless);
    expect(seen).toEqual(gapless.slice(1).map(BigInt)); // notifications arrive in commit order
    const [account_] = await books.rows(
      `SELECT a.total_credits, a.balance + a.total_debits AS sum, a.credits_version,
              (SELECT sum(amount) FROM data.account_balance_audit WHERE account_id = a.id) AS audited
       FROM data.account_balance a WHERE id = $1`,
      [account.id],
    );
    expect(account_).toEqual({
      total_credits: "1010.000000700",
      sum: "1010.000000700",
      audited: "1010.000000700",
      credits_version: "301",
    });
  });

  test("a credit that is rolled back leaves no gap", async () => {
    const account = await newAccount(books, "1");
    const client = await books.db.$client.connect();
    await client.query("BEGIN");
    await client.query("UPDATE data.account_balance SET balance = 2 WHERE id = $1", [account.id]);
    await client.query("ROLLBACK");
    client.release();
    await books.rows("UPDATE data.account_balance SET balance = 3 WHERE id = $1", [account.id]);
    expect((await credits(books, account.id)).map((row) => row.credits_version)).toEqual(["1", "2"]);
  });
});

describe("Rule: a credit is notified with exact amounts, a settled deduction is not", () => {
  test("account_balance_updated carries the owner, both balances, the total and the version", async () => {
    const account = await newAccount(books, "10");
    const client = new pg.Client({ connectionString: books.url });
    await client.connect();
    const heard: { channel: string; payload: unknown }[] = [];
    client.on("notification", ({ channel, payload }) =>
      heard.push({ channel, payload: JSON.parse(payload ?? "null") as unknown }),
    );
    await client.query("LISTEN account_balance_updated");
    await client.query(settle, [account.id, "4"]);
    await client.query("UPDATE data.account_balance SET balance = balance + 123456789.123456789 WHERE id = $1", [
      account.id,
    ]);
    await waitFor(() => heard.length > 0, { timeoutMs: 5_000, what: "the notification" });
    await client.end();
    expect(heard).toEqual([
      {
        channel: "account_balance_updated",
        payload: {
          account_id: account.ownerId,
          account_type: "user",
          old_balance: "6.000000000",
          new_balance: "123456795.123456789",
          account_balance_id: account.id,
          total_credits: "123456799.123456789",
          credits_version: "2",
        },
      },
    ]);
  });
});

describe("Rule: an account holds only what can be counted, and belongs to one owner for ever", () => {
  test("NaN and Infinity are refused in every money column of an account", async () => {
    const account = await newAccount(books, "1");
    for (const column of ["balance", "total_debits", "credit_limit"]) {
      const nan = await books.refusal(`UPDATE data.account_balance SET ${column} = 'NaN' WHERE id = $1`, [account.id]);
      expect([column, nan.code]).toEqual([column, "23514"]);
      const infinite = await books.refusal(`UPDATE data.account_balance SET ${column} = 'Infinity' WHERE id = $1`, [
        account.id,
      ]);
      expect([column, infinite.code]).toEqual([column, "22003"]);
    }
  });

  test("what int64 nanos cannot hold is refused at the credit, and a deduction on a full account is not", async () => {
    const account = await newAccount(books, "8999999999.999999999");
    expect(
      await books.refusal("UPDATE data.account_balance SET balance = balance + 0.000000001 WHERE id = $1", [
        account.id,
      ]),
    ).toMatchObject({ code: "23514", constraint: "account_balance_total_credits_check" });
    await books.rows(settle, [account.id, "999999999.999999999"]);
    await books.rows("UPDATE data.account_balance SET credit_limit = 200000000 WHERE id = $1", [account.id]);
    expect(
      await books.refusal("UPDATE data.account_balance SET credit_limit = 200000001 WHERE id = $1", [account.id]),
    ).toMatchObject({
      constraint: "account_balance_available_check",
    });
    expect(
      await books.refusal("UPDATE data.account_balance SET credit_limit = -1 WHERE id = $1", [account.id]),
    ).toMatchObject({
      constraint: "account_balance_credit_limit_check",
    });
  });

  test("overdue_amount is what is missing below the limit", async () => {
    const account = await newAccount(books, "1");
    await books.rows("UPDATE data.account_balance SET credit_limit = 2 WHERE id = $1", [account.id]);
    await books.rows(settle, [account.id, "2.5"]);
    const read = () => books.rows("SELECT overdue_amount FROM data.account_balance WHERE id = $1", [account.id]);
    expect(await read()).toEqual([{ overdue_amount: "0.000000000" }]);
    await books.rows(settle, [account.id, "1.25"]);
    expect(await read()).toEqual([{ overdue_amount: "0.750000000" }]);
  });

  test("an account has exactly one owner, an owner one account, and neither changes", async () => {
    const account = await newAccount(books, "1");
    const other = await newAccount(books, "1");
    expect(await books.refusal("INSERT INTO data.account_balance DEFAULT VALUES")).toMatchObject({
      constraint: "account_balance_owner_check",
    });
    expect(
      await books.refusal("INSERT INTO data.account_balance (owner_userid) VALUES ($1)", [account.ownerId]),
    ).toMatchObject({
      constraint: "account_balance_owner_userid_key",
    });
    expect(
      await books.refusal("UPDATE data.account_balance SET owner_userid = $2 WHERE id = $1", [
        account.id,
        other.ownerId,
      ]),
    ).toMatchObject({ code: "DD005" });
    expect(await books.refusal("DELETE FROM data.account_balance WHERE id = $1", [account.id])).toMatchObject({
      code: "23503",
    });
  });
});
