import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  countDeductions,
  countNewerDeductions,
  type Deduction,
  type DeductionFilters,
  deleteSavedView,
  everyRow,
  InvalidPage,
  listAccounts,
  listDeductions,
  listSavedViews,
  listTrail,
  pageKeys,
  putSavedView,
  readAccountHeader,
  readBalanceAt,
  readBalanceOverTime,
  readChargeSeries,
  readSettledPerSecond,
  readSettledSeries,
  readSpend,
  trailCursorAtSeq,
} from "../src/index.ts";
import { type Books, newAccount, openBooks } from "./books.ts";

let books: Books;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

type Drawn = {
  accountId: string;
  at?: Date | string;
  cost?: string;
  model?: string;
  seq?: number;
  before?: string;
  after?: string;
};

let drawn = 0;
/** A settled deduction with its audit row, as settling writes them. */
async function draw({
  accountId,
  at = new Date(),
  cost = "1",
  model = "m",
  seq,
  before,
  after,
}: Drawn): Promise<string> {
  const id = `ded_${++drawn}_${randomUUID().slice(0, 8)}`;
  await books.rows(
    `WITH u AS (
       INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, created_at, input_tokens, account_seq,
         balance_before, balance_after, settled_at, stream_entry_id)
       VALUES ($1, 'vk', $2, 'user', 'p', $5, $4, $3, 7, $6, $7, $8, now(), floor(extract(epoch FROM $3::timestamptz) * 1000) || '-0') RETURNING *)
     INSERT INTO data.account_balance_audit (deduction_id, account_id, account_type, amount, source, audit_category, usage_log_id, created_at,
       balance_before, balance_after, account_seq, stream_entry_id)
     SELECT deduction_id, account_id, account_type, -cost, 'api_gateway', 'usage', id, created_at, balance_before, balance_after, account_seq,
            stream_entry_id FROM u`,
    [id, accountId, at, cost, model, seq ?? null, before ?? null, after ?? null],
  );
  return id;
}

const idsOf = (rows: readonly Deduction[]) => rows.map(({ deductionId }) => deductionId);

describe("Section 7: a list is paged within a pinned window", () => {
  test("no row twice and none missed, forwards and back, while rows arrive and moments repeat", async () => {
    const { id: accountId } = await newAccount(books);
    const base = Date.now() - 3_600_000;
    const wanted: string[] = [];
    // Several in one moment, which pages must not tear apart.
    for (let i = 0; i < 23; i++) wanted.unshift(await draw({ accountId, at: new Date(base + Math.floor(i / 5)) }));
    const filters: DeductionFilters = { accountId };
    for (const order of ["newest", "oldest"] as const) {
      const seen: string[] = [];
      let page = await listDeductions(books.db, filters, { limit: 4, order });
      expect(page.previous).toBeNull();
      const pages = [page];
      for (;;) {
        seen.push(...idsOf(page.rows));
        await draw({ accountId, at: new Date(base + 1) }); // an old moment, but new in the books
        await draw({ accountId });
        if (page.next === null) break;
        page = await listDeductions(books.db, filters, { limit: 4, order, cursor: page.next, pin: page.pin });
        pages.push(page);
      }
      const before = wanted.length;
      expect(seen.length).toBe(order === "newest" ? 23 : before);
      expect(new Set(seen).size).toBe(seen.length);
      if (order === "newest") expect(seen).toEqual(wanted);
      for (const one of pages.toReversed().slice(1)) {
        expect(page.previous).not.toBeNull();
        page = await listDeductions(books.db, filters, { limit: 4, order, cursor: page.previous ?? "", pin: page.pin });
        expect(idsOf(page.rows)).toEqual(idsOf(one.rows));
      }
      expect(page.previous).toBeNull();
      expect((await countNewerDeductions(books.db, filters, page.pin)).count).toBe(pages.length * 2);
      expect(await countDeductions(books.db, filters, page.pin)).toEqual({ count: seen.length, exact: true });
      wanted.push(...Array.from({ length: pages.length * 2 }, () => "later"));
    }
    const exported: Deduction[] = [];
    for await (const row of everyRow((request) => listDeductions(books.db, filters, { ...request, limit: 5 })))
      exported.push(row);
    expect(new Set(idsOf(exported)).size).toBe(wanted.length);
  });

  test("microseconds apart are apart", async () => {
    const { id: accountId } = await newAccount(books);
    const times = ["2026-03-01T00:00:00.000001Z", "2026-03-01T00:00:00.000002Z", "2026-03-01T00:00:00.000003Z"];
    const ids: string[] = [];
    for (const at of times) ids.push(await draw({ accountId, at }));
    const first = await listDeductions(books.db, { accountId }, { limit: 2 });
    const second = await listDeductions(
      books.db,
      { accountId },
      { limit: 2, cursor: first.next ?? "", pin: first.pin },
    );
    expect([...idsOf(first.rows), ...idsOf(second.rows)]).toEqual(ids.toReversed());
  });

  test("a search that is cut goes on where it stopped, and finds the one row", async () => {
    const { id: accountId } = await newAccount(books);
    const rare = await draw({ accountId, model: "rare", at: new Date(Date.now() - 86_400_000) });
    await books.rows(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, settled_at)
       SELECT 'many_' || n, 'vk', $1, 'user', 'p', 'm', 0, now() FROM generate_series(1, 12000) AS n`,
      [accountId],
    );
    const filters = { accountId, model: "rare" };
    const cut = await listDeductions(books.db, filters, { limit: 10 });
    expect(cut).toMatchObject({ rows: [], searching: true });
    const found = await listDeductions(books.db, filters, { limit: 10, cursor: cut.next ?? "", pin: cut.pin });
    expect(idsOf(found.rows)).toEqual([rare]);
    expect(found).toMatchObject({ next: null, searching: false });
    expect(await countDeductions(books.db, { accountId }, cut.pin)).toEqual({ count: 10_000, exact: false });
    await books.rows("DELETE FROM data.usage_log WHERE deduction_id LIKE 'many_%'");
  });

  test.each([
    "",
    "x",
    "bnVsbA",
    Buffer.from('[">","a","b"]').toString("base64url"),
    Buffer.from('[">","1"]').toString("base64url"),
  ])("a cursor that no list gave is refused: %j", async (cursor) => {
    await expect(listDeductions(books.db, {}, { limit: 1, cursor })).rejects.toThrow(InvalidPage);
    await expect(listDeductions(books.db, {}, { limit: 1, pin: `${cursor} ` })).rejects.toThrow(InvalidPage);
  });
});

describe("Section 7: accounts are found", () => {
  test("by the beginning of a name or address in any case, by id, owner, key; exact to the last digit", async () => {
    const tag = randomUUID().slice(0, 8);
    const named = await newAccount(books, "123456789.123456789");
    await books.rows("UPDATE data.user_profile SET name = $2, email = $3 WHERE id = $1", [
      named.ownerId,
      `Émile Example 100%_${tag}`,
      `${tag}@x.test`,
    ]);
    const nameless = await newAccount(books, "-0.000000001");
    await books.rows("UPDATE data.user_profile SET email = $2 WHERE id = $1", [
      nameless.ownerId,
      `ÉMILE EXAMPLE 100%_${tag}.mail@x.test`,
    ]);
    const find = async (search: string) =>
      (await listAccounts(books.db, { search }, { limit: 10, order: "oldest" })).rows.map(({ id }) => id);
    expect(await find(`Émile EXAMPLE 100%_${tag}`)).toEqual([named.id, nameless.id]);
    expect(await find(`${tag}@`)).toEqual([named.id]);
    expect(await find("%")).toEqual([]);
    for (const search of [named.id, named.ownerId, named.virtualKey]) expect(await find(search)).toEqual([named.id]);
    const { rows } = await listAccounts(books.db, { search: named.id }, { limit: 10 });
    expect(rows[0]).toMatchObject({ balance: "123456789.123456789", ownerEmail: `${tag}@x.test`, type: "user" });
    const overdue = await listAccounts(books.db, { overdueOnly: true }, { limit: 10 });
    expect(overdue.rows.map(({ id, overdueAmount }) => [id, overdueAmount])).toEqual([[nameless.id, "0.000000001"]]);
    expect(await readAccountHeader(books.db, named.ownerId)).toMatchObject({ id: named.id, keys: 1, activeKeys: 1 });
    expect((await pageKeys(books.db, { accountId: named.ownerId }, { limit: 5 })).rows).toMatchObject([
      { virtualKey: named.virtualKey, accountId: named.id, status: "active" },
    ]);
    expect((await pageKeys(books.db, { search: named.virtualKey.slice(0, 10) }, { limit: 5 })).rows.length).toBe(1);
  });

  test("a name of 10 kB, of right-to-left marks or quotes, is a name", async () => {
    const account = await newAccount(books);
    const name = `'; DROP TABLE x; -- \u202e<script>"${"長".repeat(10_000)}`;
    await books.rows("UPDATE data.user_profile SET name = $2 WHERE id = $1", [account.ownerId, name]);
    const { rows } = await listAccounts(books.db, { search: name }, { limit: 5 });
    expect(rows.map(({ id, ownerName }) => [id, ownerName === name])).toEqual([[account.id, true]]);
  });
});

describe("Section 7: figures of an account", () => {
  test("days are the days of Kolkata, where one begins at 18:30 UTC", async () => {
    const { id: accountId } = await newAccount(books);
    await draw({ accountId, at: new Date("2026-03-01T18:29:59.999Z"), cost: "1", model: "a" });
    await draw({ accountId, at: new Date("2026-03-01T18:30:00.000Z"), cost: "0.000000001", model: "b" });
    await draw({ accountId, at: new Date("2026-03-02T18:29:59.999Z"), cost: "123456789.123456789", model: "b" });
    const period = { from: new Date("2026-02-28T18:30:00Z"), to: new Date("2026-03-02T18:30:00Z") };
    const spend = await readSpend(books.db, accountId, period, "Asia/Kolkata");
    expect(spend.byDay.map(({ day, cost, deductions }) => [day, cost, deductions])).toEqual([
      ["2026-03-01", "1.000000000", "1"],
      ["2026-03-02", "123456789.123456790", "2"],
    ]);
    expect(spend.byModel.map(({ model, cost, inputTokens }) => [model, cost, inputTokens])).toEqual([
      ["b", "123456789.123456790", "14"],
      ["a", "1.000000000", "7"],
    ]);
    expect(spend).toMatchObject({ since: null, total: { cost: "123456790.123456790", deductions: "3" } });
    const part = await readSpend(books.db, accountId, period, "UTC", { deductionsMax: 2 });
    expect(part).toMatchObject({ since: new Date("2026-03-01T18:30:00.000Z"), total: { deductions: "2" } });
    expect((await readSpend(books.db, accountId, period, "UTC", { deductionsMax: 3 })).since).toBeNull();
    await expect(readSpend(books.db, accountId, period, "Mars/Olympus")).rejects.toThrow(RangeError);
  });

  test("the balance as of a moment is what the last link before it left, across gaps", async () => {
    const { id: accountId } = await newAccount(books);
    const at = (s: number) => new Date(Date.parse("2026-03-01T00:00:00Z") + s * 1_000);
    for (const seq of [1, 2, 3, 7, 8, 40])
      await draw({ accountId, seq, at: at(seq), before: `${1_000 - seq}`, after: `${999 - seq}.123456789` });
    const seqAt = async (s: number) => (await readBalanceAt(books.db, accountId, at(s)))?.seq;
    expect(await Promise.all([0.5, 1, 2.5, 3, 6.999, 7, 39, 40, 9_000].map(seqAt))).toEqual([
      undefined,
      "1",
      "2",
      "3",
      "3",
      "7",
      "8",
      "40",
      "40",
    ]);
    expect(await readBalanceAt(books.db, accountId, at(8))).toMatchObject({ balanceAfter: "991.123456789" });
    const points = await readBalanceOverTime(books.db, accountId, { from: at(0), to: at(40) }, 4);
    expect(points.map(({ seq, balance }) => [seq, balance])).toEqual([
      ["8", "991.123456789"],
      ["8", "991.123456789"],
      ["8", "991.123456789"],
      ["40", "959.123456789"],
    ]);
    const seqs = async (cursor: string, order: "newest" | "oldest") =>
      (await listTrail(books.db, accountId, {}, { limit: 3, cursor, order })).rows.map(({ seq }) => seq);
    expect(await seqs(trailCursorAtSeq("7", "newest"), "newest")).toEqual(["7", "3", "2"]);
    expect(await seqs(trailCursorAtSeq("5", "oldest"), "oldest")).toEqual(["7", "8", "40"]);
    const within = await listTrail(books.db, accountId, { from: at(2), to: at(8) }, { limit: 9, order: "oldest" });
    expect(within.rows.map(({ seq }) => seq)).toEqual(["2", "3", "7"]);
  });

  test("charges by the second add up", async () => {
    const series = await readChargeSeries(books.db, { seconds: 600, buckets: 60 });
    const [row] = await books.rows<{ n: string }>(
      "SELECT count(*) AS n FROM data.usage_log WHERE created_at > now() - interval '10 minutes' AND created_at <= now()",
    );
    expect(series.length).toBe(60);
    expect(series.reduce((sum, { charges }) => sum + (charges ?? 0), 0)).toBe(Number(row?.n));
  });

  test("what was settled by the second adds up, whenever it was charged", async () => {
    await books.rows(
      "UPDATE data.usage_log SET settled_at = now() - interval '5 seconds' WHERE id = (SELECT max(id) FROM data.usage_log)",
    );
    const settled = await readSettledSeries(books.db, { seconds: 20, buckets: 4 });
    const [row] = await books.rows<{ n: string }>(
      "SELECT count(*) AS n FROM data.usage_log WHERE settled_at > now() - interval '20 seconds' AND settled_at <= now()",
    );
    expect(settled.length).toBe(4);
    expect(settled.reduce((sum, one) => sum + (one.settled ?? 0), 0)).toBe(Number(row?.n));
    expect(Number(row?.n)).toBeGreaterThan(0);
    expect(await readSettledPerSecond(books.db)).toBeGreaterThan(0);
  });
});

test("Section 7: an operator's saved views are his own", async () => {
  const { db } = books;
  const view = { page: "deductions", name: "mine", query: "model=m" };
  expect(await putSavedView(db, "ada", view)).toBe("saved");
  expect(await putSavedView(db, "ada", { ...view, query: "model=n" })).toBe("saved");
  expect(await listSavedViews(db, "ada", "deductions")).toMatchObject([{ name: "mine", query: "model=n" }]);
  expect(await listSavedViews(db, "bob", "deductions")).toEqual([]);
  expect(await deleteSavedView(db, "bob", "deductions", "mine")).toBe(false);
  expect(await deleteSavedView(db, "ada", "deductions", "mine")).toBe(true);
  for (let i = 0; i < 100; i++) await putSavedView(db, "ada", { ...view, name: `view ${i}` });
  expect(await putSavedView(db, "ada", { ...view, name: "one more" })).toBe("full");
  expect(await putSavedView(db, "ada", { ...view, name: "view 7" })).toBe("saved");
});
