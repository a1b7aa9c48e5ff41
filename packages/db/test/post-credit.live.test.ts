import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postCredit } from "../src/index.ts";
import { type Books, credits, newAccount, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

const post = (...values: unknown[]) => books.rows("SELECT * FROM data.post_credit($1, $2, $3, $4, $5, $6)", values);
const refused = (...values: unknown[]) => books.refusal("SELECT data.post_credit($1, $2, $3, $4, $5, $6)", values);

describe("Rule: a reference is one credit, however often and by how many it is posted", () => {
  test("50 callers at once: one effect, 50 equal rows", async () => {
    const account = await newAccount(books, "1");
    const reference = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => post(account.id, "2.5", "top_up", reference, "invoice 7", "portal")),
    );
    const [first] = answers;
    expect(first).toMatchObject([
      {
        account_id: account.id,
        amount: "2.500000000",
        audit_category: "top_up",
        source: "post_credit",
        reason: "invoice 7",
        actor: "portal",
        reference,
        credits_version: "2",
        account_seq: null,
        applied_at: null,
        sync_status: "pending",
      },
    ]);
    for (const answer of answers) expect(answer).toEqual(first);
    expect(await credits(books, account.id)).toHaveLength(2);
  });

  test("callers with one reference and different accounts at once: one effect, the others reference_conflict", async () => {
    const accounts = await Promise.all([1, 2, 3, 4].map(() => newAccount(books, "1")));
    const reference = randomUUID();
    const outcomes = await Promise.allSettled(
      accounts.map((account) =>
        postCredit(books.db, {
          accountId: account.id,
          amount: "1",
          category: "top_up",
          reference,
          reason: "r",
          actor: "a",
        }),
      ),
    );
    const failed = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(failed).toHaveLength(3);
    for (const { reason } of failed) expect(reason).toMatchObject({ code: "DD001", message: "reference_conflict" });
    const [{ sum } = { sum: "" }] = await books.rows(
      "SELECT sum(balance) FROM data.account_balance WHERE id = ANY($1)",
      [accounts.map((account) => account.id)],
    );
    expect(sum).toBe("5.000000000");
  });

  test("the same reference with another amount is a conflict, the same amount written otherwise is not", async () => {
    const account = await newAccount(books, "1");
    const reference = randomUUID();
    const first = await post(account.id, "1", "top_up", reference, "r", "a");
    expect(await post(account.id, "1.000", "top_up", reference, "another reason", "b")).toEqual(first);
    expect(await refused(account.id, "1.1", "top_up", reference, "r", "a")).toMatchObject({
      code: "DD001",
      message: "reference_conflict",
    });
  });

  test("without a reference every call is a credit", async () => {
    const account = await newAccount(books, "1");
    await post(account.id, "1", "top_up", null, null, null);
    await post(account.id, "1", "top_up", null, null, null);
    expect(await credits(books, account.id)).toHaveLength(3);
  });
});

describe("Rule: post_credit hands over who and why, and nothing else inherits it", () => {
  test("plain SQL after it in the same transaction is plain SQL", async () => {
    const account = await newAccount(books, "1");
    const reference = randomUUID();
    await books.rows(
      `DO $$ BEGIN
         PERFORM data.post_credit('${account.id}', 1, 'refund', '${reference}', 'why', 'who');
         UPDATE data.account_balance SET balance = balance + 1 WHERE id = '${account.id}';
       END $$`,
    );
    const [, posted, plain] = await credits(books, account.id);
    expect(posted).toMatchObject({
      source: "post_credit",
      audit_category: "refund",
      reference,
      reason: "why",
      actor: "who",
    });
    expect(plain).toMatchObject({
      source: "sql",
      audit_category: "top_up",
      reference: null,
      reason: null,
      actor: books.user,
    });
  });

  test("a credit that fails leaves nothing behind for the transaction that caught it", async () => {
    const account = await newAccount(books, "1");
    await books.rows(
      `DO $$ BEGIN
         BEGIN
           PERFORM data.post_credit('${account.id}', 9000000000, 'refund', 'too much', 'why', 'who');
         EXCEPTION WHEN check_violation THEN NULL;
         END;
         UPDATE data.account_balance SET balance = balance + 1 WHERE id = '${account.id}';
       END $$`,
    );
    const [, plain] = await credits(books, account.id);
    expect(plain).toMatchObject({ source: "sql", audit_category: "top_up", reference: null, actor: books.user });
  });
});

describe("Rule: what is no credit is refused with a word, and moves nothing", () => {
  test("amounts", async () => {
    const account = await newAccount(books, "1");
    for (const amount of ["NaN", "Infinity", "-Infinity", "0", "0.0000000001", "1.0000000001", null])
      expect({ amount, ...(await refused(account.id, amount, "top_up", null, "r", "a")) }).toMatchObject({
        amount,
        code: "DD003",
        message: "invalid_amount",
      });
    for (const category of ["top_up", "refund"])
      expect(await refused(account.id, "-1", category, null, "r", "a")).toMatchObject({ code: "DD003" });
    expect(await refused(account.id, "8999999999", "top_up", null, "r", "a")).toMatchObject({
      code: "23514",
      constraint: "account_balance_total_credits_check",
    });
    expect(await credits(books, account.id)).toHaveLength(1);
    await post(account.id, "-1.5", "adjustment", null, "r", "a");
    expect(await credits(books, account.id)).toMatchObject([
      {},
      { amount: "-1.500000000", audit_category: "adjustment" },
    ]);
  });

  test("an unknown account, an owner's id, an unknown category, an empty reference", async () => {
    const account = await newAccount(books, "1");
    for (const id of [randomUUID(), account.ownerId, null])
      expect(await refused(id, "1", "top_up", null, "r", "a")).toMatchObject({
        code: "DD002",
        message: "unknown_account",
      });
    for (const category of ["usage", "", null])
      expect(await refused(account.id, "1", category, null, "r", "a")).toMatchObject({
        code: "DD004",
        message: "invalid_credit",
      });
    for (const reference of ["", "x".repeat(513)])
      expect(await refused(account.id, "1", "top_up", reference, "r", "a")).toMatchObject({ code: "DD004" });
  });

  test("a reference whose credit was refused can be used", async () => {
    const account = await newAccount(books, "1");
    const reference = randomUUID();
    await refused(randomUUID(), "1", "top_up", reference, "r", "a");
    expect(await post(account.id, "1", "top_up", reference, "r", "a")).toMatchObject([{ reference }]);
  });
});
