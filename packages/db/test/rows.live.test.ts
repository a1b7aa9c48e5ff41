import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAlert, readUsageTexts, resolveAlert } from "../src/index.ts";
import { type Books, newAccount, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

const olderUsage = `
  INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at,
    input_tokens, output_tokens, metadata_json, sync_status)
  VALUES ($1, 'vk_gone', $2, 'user', 'a provider nobody has', 'm', 0.0012, 'USD', now(), 3, 4, '{"a":1}', 'synced')
  ON CONFLICT (deduction_id) DO UPDATE SET sync_status = EXCLUDED.sync_status RETURNING id`;
const olderAudit = `
  INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id, created_at, sync_status)
  VALUES ($1, $2, 'user', -0.0012, 'stream_worker', 'API_USAGE', $3, now(), 'synced') ON CONFLICT (deduction_id) DO NOTHING`;

describe("Rule: an older worker's rows are taken as it writes them, and are half-settled", () => {
  test("its statements work, twice; settled_at stays null and the balance stays", async () => {
    const account = await newAccount(books, "5");
    for (const attempt of [1, 2]) {
      const [row] = await books.rows<{ id: string }>(olderUsage, ["ded_older", account.id]);
      expect([attempt, typeof row?.id]).toEqual([attempt, "string"]);
      await books.rows(olderAudit, ["ded_older", account.id, row?.id]);
    }
    const rows = await books.rows(
      `SELECT u.settled_at, u.balance_before, u.account_seq, u.total_tokens, b.balance, b.credits_version
       FROM data.usage_log u JOIN data.account_balance b ON b.id = u.account_id WHERE u.deduction_id = 'ded_older'`,
    );
    expect(rows).toEqual([
      {
        settled_at: null,
        balance_before: null,
        account_seq: null,
        total_tokens: null,
        balance: "5.000000000",
        credits_version: "1",
      },
    ]);
  });
});

test("Rule: a row's text has the digits that JavaScript rounds", async () => {
  const account = await newAccount(books, "5");
  const [row] = await books.rows<{ id: string }>(olderUsage.replace('{"a":1}', '{"a":9007199254740993.10}'), [
    "ded_digits",
    account.id,
  ]);
  const { usageLog, metadata, audit } = await readUsageTexts(books.db, row?.id ?? null, null);
  expect(metadata).toBe('{"a": 9007199254740993.10}');
  expect(usageLog).toContain('"cost":0.001200000,');
  expect(usageLog).toContain('{"a": 9007199254740993.10}');
  expect(audit).toBeNull();
});

describe("Rule: NaN is in no money column", () => {
  test.each([
    [
      "usage_log",
      "cost",
      "deduction_id, virtual_key, account_id, account_type, provider, model, cost",
      "'1', 'k', $1, 'user', 'p', 'm', 0",
    ],
    [
      "usage_log",
      "balance_before",
      "deduction_id, virtual_key, account_id, account_type, provider, model, cost",
      "'2', 'k', $1, 'user', 'p', 'm', 0",
    ],
    [
      "usage_log",
      "balance_after",
      "deduction_id, virtual_key, account_id, account_type, provider, model, cost",
      "'3', 'k', $1, 'user', 'p', 'm', 0",
    ],
    ["account_balance_audit", "amount", "account_id, account_type, amount", "$1, 'user', 0"],
    ["account_balance_audit", "balance_before", "account_id, account_type, amount", "$1, 'user', 0"],
    ["account_balance_audit", "balance_after", "account_id, account_type, amount", "$1, 'user', 0"],
    [
      "dead_letter",
      "cost",
      "account_id, stream_key, stream_entry_id, raw, error_class, error_message",
      "$1::text, 's', '1', '', 'c', 'm'",
    ],
    [
      "dead_letter",
      "balance_before",
      "account_id, stream_key, stream_entry_id, raw, error_class, error_message",
      "$1::text, 's', '2', '', 'c', 'm'",
    ],
    [
      "dead_letter",
      "balance_after",
      "account_id, stream_key, stream_entry_id, raw, error_class, error_message",
      "$1::text, 's', '3', '', 'c', 'm'",
    ],
  ])("%s.%s", async (table, column, columns, values) => {
    const account = await newAccount(books);
    const [row] = await books.rows<{ id: string }>(
      `INSERT INTO data.${table} (${columns}) VALUES (${values}) RETURNING id`,
      [account.id],
    );
    expect(await books.refusal(`UPDATE data.${table} SET ${column} = 'NaN' WHERE id = $1`, [row?.id])).toMatchObject({
      code: "23514",
      constraint: `${table}_${column}_check`,
    });
  });

  test("a negative cost is refused, 0 is not", async () => {
    const account = await newAccount(books);
    const insert = (cost: string) =>
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost)
       VALUES ('${randomUUID()}', 'k', '${account.id}', 'user', 'p', 'm', ${cost})`;
    expect(await books.refusal(insert("-0.000000001"))).toMatchObject({ constraint: "usage_log_cost_check" });
    await books.rows(insert("0"));
    await books.rows(insert("999999999.999999999"));
  });
});

describe("Rule: a balance of any size can be written beside a deduction", () => {
  test("balance_before and balance_after hold what an account can", async () => {
    const account = await newAccount(books);
    await books.rows(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, balance_before, balance_after)
       VALUES ('ded_rich', 'k', $1, 'user', 'p', 'm', 1, 8999999999.999999999, 8999999998.999999999)`,
      [account.id],
    );
    expect(await books.rows("SELECT balance_before FROM data.usage_log WHERE deduction_id = 'ded_rich'")).toEqual([
      { balance_before: "8999999999.999999999" },
    ]);
  });
});

describe("Rule: a link that is settled twice is one row, a seq that repeats is two", () => {
  const link = (accountId: string, entryId: string, seq: number) =>
    books.rows(
      `INSERT INTO data.account_balance_audit (account_id, account_type, amount, kind, audit_category, account_seq, stream_key, stream_entry_id)
       VALUES ($1, 'user', 0, 'repair', 'adjustment', $3, 's', $2) ON CONFLICT DO NOTHING RETURNING id`,
      [accountId, entryId, seq],
    );
  test("account_balance_audit", async () => {
    const account = await newAccount(books);
    expect(await link(account.id, "1-1", 1)).toHaveLength(1);
    expect(await link(account.id, "1-1", 1)).toHaveLength(0);
    expect(await link(account.id, "2-1", 1)).toHaveLength(1); // a fork, to be reported
  });
});

describe("Rule: a credit has a category that exists", () => {
  test("account_balance_audit", async () => {
    const account = await newAccount(books);
    const insert = `INSERT INTO data.account_balance_audit (account_id, account_type, amount, credits_version, audit_category) VALUES ($1, 'user', 0, 2, $2)`;
    for (const category of ["usage", "gift", null])
      expect(await books.refusal(insert, [account.id, category])).toMatchObject({
        constraint: "account_balance_audit_credit_check",
      });
  });
});

describe("Rule: a dead letter can be written whatever the entry holds, once for each bytes of an entry", () => {
  const insert = (raw: Buffer, deductionId: string | null) =>
    books.rows(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, deduction_id, account_id, cost, error_class, error_message)
       VALUES ('stream:deductions:0', '9-9', $1, $2, $2, 1e300, '22003', 'm') ON CONFLICT (stream_key, stream_entry_id, raw_hash) DO NOTHING RETURNING id`,
      [raw, deductionId],
    );
  test("long ids, absurd costs, any bytes", async () => {
    expect(await insert(Buffer.from([0, 255, 254]), "x".repeat(100_000))).toHaveLength(1);
    expect(await insert(Buffer.from([0, 255, 254]), "x".repeat(100_000))).toHaveLength(0);
    expect(await insert(Buffer.from([0, 255, 253]), null)).toHaveLength(1);
  });
});

describe("Rule: one open alert for each thing that is wrong; an action has an actor and a reason", () => {
  test("noticed by several at once, resolved, and wrong again", async () => {
    const alert = { level: "warning", kind: "backlog", key: "4", message: "m", details: { first: 1 } } as const;
    await Promise.all([1, 2, 3].map(() => openAlert(books.db, alert)));
    await openAlert(books.db, { ...alert, level: "critical", message: "worse", details: { second: 2 } });
    await openAlert(books.db, { ...alert, key: "5" });
    await resolveAlert(books.db, "backlog", "4");
    await resolveAlert(books.db, "backlog", "4");
    await openAlert(books.db, alert);
    const rows = await books.rows(
      `SELECT key, level, message, details, resolved_at IS NOT NULL AS resolved FROM data.alert WHERE kind = 'backlog' ORDER BY id`,
    );
    const open = { level: "warning", message: "m", details: { first: 1 }, resolved: false };
    expect(rows).toEqual([
      { key: "4", level: "critical", message: "worse", details: { first: 1, second: 2 }, resolved: true },
      { ...open, key: "5" },
      { ...open, key: "4" },
    ]);
  });

  test("alert and operator_action", async () => {
    const alert = "INSERT INTO data.alert (level, kind, key, message) VALUES ('critical', 'lost_epoch', '3', 'm')";
    await books.rows(alert);
    expect(await books.refusal(alert)).toMatchObject({ constraint: "alert_open_key" });
    await books.rows("UPDATE data.alert SET resolved_at = now()");
    await books.rows(alert);
    const action = (actor: string, reason: string) =>
      `INSERT INTO data.operator_action (actor, role, action, reason) VALUES ('${actor}', 'admin', 'replay', '${reason}')`;
    expect(await books.refusal(action("a", " "))).toMatchObject({ constraint: "operator_action_reason_check" });
    expect(await books.refusal(action("", "r"))).toMatchObject({ constraint: "operator_action_actor_check" });
    await books.rows(action("a", "r"));
  });
});
