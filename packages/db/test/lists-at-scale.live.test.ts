import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AccountFilters,
  countAccounts,
  countDeductions,
  countLettersByClass,
  countNewerDeductions,
  countTrail,
  type Db,
  listAccounts,
  listAlerts,
  listDeductions,
  listTrail,
  listWaitingCredits,
  type Page,
  type PageRequest,
  pageDeadLetters,
  pageKeys,
  pagePrices,
  pageUncaptured,
  readAccountHeader,
  readBalanceAt,
  readBalanceOverTime,
  readChargeSeries,
  readOverviewFigures,
  readSettledPerSecond,
  readSettledSeries,
  readSpend,
} from "../src/index.ts";
import { type Books, openBooks } from "./books.ts";
import { type FilledBooks, fillBooks } from "./fill-books.ts";
import { deductionFilters, namedDeductions, trailFilters } from "./growing-lists.ts";

const ROWS = 1_000_000;
const MOST_MS = 200;
/** Read whole, these would make a page cost more with more rows. */
const LARGE = new Set(["usage_log", "account_balance_audit", "account_balance", "operator_action", "dead_letter"]);

let books: Books;
let filled: FilledBooks;
/** Every statement that was run since it was emptied. */
const statements: { text: string; values: unknown[] }[] = [];

beforeAll(async () => {
  books = await openBooks();
  books.db.$client.on("connect", (client) => {
    const plain = client.query.bind(client) as (...args: unknown[]) => unknown;
    const query = (text: string, values: unknown, ...rest: unknown[]) => {
      statements.push({ text, values: Array.isArray(values) ? values : [] });
      return plain(text, values, ...rest);
    };
    Object.assign(client, { query });
  });
  filled = await fillBooks(books.db, ROWS);
}, 300_000);
afterAll(() => books.close());

type Plan = { "Node Type": string; "Relation Name"?: string; Plans?: Plan[] };

/** Every step of the plans of what was run; a transaction's are made within one like it. Nothing is on record after it. */
async function plans(): Promise<{ text: string; steps: Plan[] }[]> {
  const run = statements.splice(0);
  const client = await books.db.$client.connect();
  const found: { text: string; steps: Plan[] }[] = [];
  for (const { text, values } of run) {
    if (/^(BEGIN|COMMIT)/.test(text)) {
      await client.query(text);
      continue;
    }
    const explained = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${text}`, values);
    const stepsOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(stepsOf)];
    found.push({ text, steps: explained.rows.flatMap((row) => stepsOf(row["QUERY PLAN"][0].Plan)) });
  }
  client.release();
  statements.length = 0;
  return found;
}

async function expectIndexes(): Promise<void> {
  for (const { text, steps } of await plans()) {
    const read = steps.filter((step) => step["Node Type"].endsWith("Seq Scan")).map((step) => step["Relation Name"]);
    expect(
      read.filter((name) => LARGE.has(name ?? "?")),
      text,
    ).toEqual([]);
  }
}

/** An incremental sort is none: it puts those in order that are equal in the index, and stops with who asks. */
async function expectNoneSorted(name: string): Promise<void> {
  const found = await plans();
  expect(found.length, name).toBeGreaterThan(0);
  for (const { text, steps } of found)
    expect(
      steps.map((step) => step["Node Type"]).filter((type) => type === "Sort"),
      `${name}: ${text}`,
    ).toEqual([]);
}

/** The shortest of three: another test's load is not the query's. */
async function measured(work: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    await work();
    best = Math.min(best, performance.now() - start);
    if (best < MOST_MS / 4) break;
  }
  return best;
}

const figures: string[] = [];
afterAll(() => console.log(figures.join("\n")));

async function expectQuick(name: string, work: () => Promise<unknown>): Promise<void> {
  statements.length = 0;
  const ms = await measured(work);
  await expectIndexes();
  figures.push(`${ms.toFixed(0).padStart(4)} ms  ${name}`);
  expect(ms, name).toBeLessThan(MOST_MS);
}

type List = (request: PageRequest) => Promise<Page<unknown>>;

/** The first page, the thousandth (or the last) and the one before it. */
async function expectQuickPages(name: string, list: List): Promise<void> {
  for (const order of ["newest", "oldest"] as const) {
    await expectQuick(`${name}, ${order}, first page`, () => list({ limit: 50, order }));
    let page = await list({ limit: 1_000, order });
    for (let i = 0; i < 49 && page.next; i++) {
      const request = { limit: 1_000, order, cursor: page.next, pin: page.pin };
      page = await list(request);
    }
    const { next, previous, pin } = page;
    for (const cursor of [next ?? previous, previous])
      if (cursor) await expectQuick(`${name}, ${order}, far page`, () => list({ limit: 50, order, cursor, pin }));
  }
}

const accountFilters: AccountFilters[] = [
  {},
  { sort: "name" },
  { search: "person 1" },
  { search: "P1" },
  { search: "vk_3" },
  { search: "nobody at all" },
  { overdueOnly: true },
  { overdueOnly: true, type: "tenant" },
  { status: "frozen" },
  { status: "active" },
  { type: "tenant" },
  { type: "user", sort: "name" },
  { customerTypeId: "00000000-0000-4000-9000-000000000001" },
];

describe(`Section 9: with ${ROWS} deductions every page is answered from an index within ${MOST_MS} ms`, () => {
  test.each(deductionFilters)("deductions by %j", { timeout: 60_000 }, async (filters) => {
    const list: List = (request) => listDeductions(books.db, filters, request);
    await expectQuickPages(`deductions ${JSON.stringify(filters)}`, list);
    const { pin } = await list({ limit: 1 });
    await expectQuick(`count ${JSON.stringify(filters)}`, () => countDeductions(books.db, filters, pin));
    await expectQuick(`newer ${JSON.stringify(filters)}`, () => countNewerDeductions(books.db, filters, pin));
  });

  test("deductions of an account, with and without a model; by an exact id", { timeout: 60_000 }, async () => {
    for (const filters of namedDeductions(filled))
      await expectQuickPages(`deductions ${JSON.stringify(filters)}`, (page) =>
        listDeductions(books.db, filters, page),
      );
  });

  test.each(accountFilters)("accounts by %j", { timeout: 60_000 }, async (filters) => {
    const list: List = (request) => listAccounts(books.db, filters, request);
    await expectQuickPages(`accounts ${JSON.stringify(filters)}`, list);
    const { pin } = await list({ limit: 1 });
    await expectQuick(`count ${JSON.stringify(filters)}`, () => countAccounts(books.db, filters, pin));
  });

  test.each(trailFilters)("the trail of the largest account by %j", { timeout: 60_000 }, async (filters) => {
    const list: List = (request) => listTrail(books.db, filled.bigAccountId, filters, request);
    await expectQuickPages(`trail ${JSON.stringify(filters)}`, list);
    const { pin } = await list({ limit: 1 });
    await expectQuick("count", () => countTrail(books.db, filled.bigAccountId, filters, pin));
  });

  test("deductions of an unknown source come in their index's order: none is sorted", async () => {
    for (const order of ["newest", "oldest"] as const) {
      statements.length = 0;
      await listDeductions(books.db, { usageSource: "unknown" }, { limit: 50, order });
      await expectNoneSorted(order);
    }
  });

  test("an account's trail and deductions are walked in their index's order, however few rows Postgres expects", async () => {
    const { db } = books;
    const { quietAccountId, bigAccountId } = filled;
    const lists: Record<string, List> = {
      deductions: (page) => listDeductions(db, { accountId: quietAccountId }, page),
    };
    for (const filters of trailFilters)
      lists[JSON.stringify(filters)] = (page) => listTrail(db, bigAccountId, filters, page);
    lists["deductions of nothing"] = (page) =>
      listDeductions(db, { accountId: quietAccountId, model: "nothing" }, page);
    // As after a load that nothing has counted yet.
    const forget = "UPDATE pg_class SET reltuples = relpages / 10 WHERE oid = ANY($1::regclass[])";
    await books.rows(forget, [["data.usage_log", "data.account_balance_audit"]]);
    try {
      for (const [name, list] of Object.entries(lists))
        for (const order of ["newest", "oldest"] as const) {
          statements.length = 0;
          const { next, pin } = await list({ limit: 50, order });
          if (next) await list({ limit: 50, order, cursor: next, pin });
          await expectNoneSorted(`${name}, ${order}`);
        }
    } finally {
      await books.rows("ANALYZE data.usage_log, data.account_balance_audit");
    }
  });

  test("every other list", { timeout: 120_000 }, async () => {
    const lists: Record<string, (db: Db, request: PageRequest) => Promise<Page<unknown>>> = {
      "open alerts": (db, page) => listAlerts(db, { state: "open" }, page),
      "closed alerts": (db, page) => listAlerts(db, { state: "closed", level: "critical" }, page),
      "dead letters": (db, page) => pageDeadLetters(db, {}, page),
      "open dead letters": (db, page) => pageDeadLetters(db, { state: "open" }, page),
      "dead letters of a class": (db, page) => pageDeadLetters(db, { state: "open", errorClass: "22003" }, page),
      "dead letters of an account": (db, page) => pageDeadLetters(db, { accountId: filled.smallAccountId }, page),
      "a dead letter": (db, page) => pageDeadLetters(db, { id: "ded_letter_7" }, page),
      keys: (db, page) => pageKeys(db, {}, page),
      "keys of an account": (db, page) => pageKeys(db, { accountId: filled.smallAccountId }, page),
      "revoked keys": (db, page) => pageKeys(db, { status: "revoked" }, page),
      "keys by name": (db, page) => pageKeys(db, { search: "key 1" }, page),
      "uncaptured holds": (db, page) => pageUncaptured(db, {}, page),
      "uncaptured holds of an account": (db, page) => pageUncaptured(db, { accountId: filled.smallAccountId }, page),
      prices: (db, page) => pagePrices(db, { currentOnly: true, provider: "open" }, page),
    };
    for (const [name, list] of Object.entries(lists))
      await expectQuickPages(name, (request) => list(books.db, request));
  });

  test("figures", { timeout: 60_000 }, async () => {
    const { db } = books;
    const period = { from: new Date(Date.now() - 90 * 86_400_000), to: new Date() };
    await expectQuick("account", () => readAccountHeader(db, filled.bigAccountId));
    await expectQuick("waiting credits", () => listWaitingCredits(db, filled.bigAccountId));
    await expectQuick("balance as of a moment", () =>
      readBalanceAt(db, filled.bigAccountId, new Date(Date.now() - 33 * 86_400_000)),
    );
    await expectQuick("balance over time, 200 points", () => readBalanceOverTime(db, filled.bigAccountId, period, 200));
    await expectQuick("spend of a small account", () => readSpend(db, filled.smallAccountId, period, "Asia/Kolkata"));
    await expectQuick("charges of the last hour", () => readChargeSeries(db, { seconds: 3_600, buckets: 60 }));
    await expectQuick("settled in the last hour", () => readSettledSeries(db, { seconds: 3_600, buckets: 60 }));
    await expectQuick("rate of settling", () => readSettledPerSecond(db));
    await expectQuick("overview", () => readOverviewFigures(db));
    await expectQuick("letters by class", () => countLettersByClass(db));
    await expectQuick("spend of the largest account", () => readSpend(db, filled.bigAccountId, period, "Asia/Kolkata"));
  });
});
