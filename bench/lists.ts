// The console's lists with ten million deductions against the same with ten thousand: what an operator waits for a page must not grow with the books.
import {
  closeDb,
  connectDb,
  type Db,
  listDeductions,
  listTrail,
  migrate,
  type Page,
  type PageRequest,
} from "@drawdown/db";
import { deductionFilters, fillBooks, namedDeductions, trailFilters } from "@drawdown/db/measured";
import { startPostgres } from "@drawdown/local-stack";
import { type Family, judge, type Row } from "./rows.ts";
import { inFolder } from "./stack.ts";
import { median } from "./statistics.ts";

const SMALL = 10_000;
const LARGE = 10_000_000;
const ROUNDS = 5;
/** Below this a page is as good as at once, and its time is that of whatever else the machine does. */
const FLOOR_MS = 5;
/** Pages of a thousand to the deep one: as deep as the small books go. */
const DEEP_PAGES = 9;

/** Nothing here has to survive a power cut, and nothing else may work meanwhile. */
const SETTINGS = {
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_wal_size: "16GB",
  autovacuum: "off",
  shared_buffers: "1GB",
};

export type ListQuery = { name: string; run: () => Promise<unknown> };

export const lists: Family = {
  rows: ["list_10m_vs_10k"],
  measure: () =>
    inFolder(async (dir) => {
      const postgres = await startPostgres({ dir, settings: SETTINGS });
      try {
        const small = await openBooks(postgres.url, "small", SMALL);
        const large = await openBooks(postgres.url, "large", LARGE);
        const row = await compare(small.queries, large.queries);
        await closeDb(small.db);
        await closeDb(large.db);
        return [row];
      } finally {
        await postgres.stop();
      }
    }),
};

async function openBooks(serverUrl: string, name: string, rows: number): Promise<{ db: Db; queries: ListQuery[] }> {
  const admin = connectDb(serverUrl);
  await admin.$client.query(`CREATE DATABASE ${name}`);
  await closeDb(admin);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await migrate(url.href);
  const db = connectDb(url.href, { queryTimeoutMs: 0 });
  return { db, queries: await fillAndAsk(db, rows) };
}

/** Fills an empty, migrated database, and returns every page that is asked of it. */
export async function fillAndAsk(db: Db, rows: number): Promise<ListQuery[]> {
  // As many of each unusual kind, however many rows there are: a page of them is full.
  const filled = await fillBooks(db, rows, { unusual: LARGE / rows, unchecked: true });
  const queries: ListQuery[] = [];
  for (const filters of [...deductionFilters, ...namedDeductions(filled)])
    queries.push(
      ...(await pagesOf(`deductions ${JSON.stringify(filters)}`, (page) => listDeductions(db, filters, page))),
    );
  for (const filters of trailFilters) {
    const list: List = (page) => listTrail(db, filled.bigAccountId, filters, page);
    queries.push(...(await pagesOf(`trail ${JSON.stringify(filters)}`, list)));
  }
  return queries;
}

type List = (request: PageRequest) => Promise<Page<unknown>>;

/** The first page and a deep one, from both ends. */
async function pagesOf(name: string, list: List): Promise<ListQuery[]> {
  const queries: ListQuery[] = [];
  for (const order of ["newest", "oldest"] as const) {
    queries.push({ name: `${name}, ${order}, first page`, run: () => list({ limit: 50, order }) });
    let page = await list({ limit: 1_000, order });
    for (let i = 1; i < DEEP_PAGES && page.next; i += 1)
      page = await list({ limit: 1_000, order, cursor: page.next, pin: page.pin });
    const { previous, next, pin } = page;
    const cursor = next ?? previous;
    queries.push({
      name: `${name}, ${order}, deep page`,
      run: () => list({ limit: 50, order, ...(cursor ? { cursor, pin } : {}) }),
    });
  }
  return queries;
}

/** The worst of all pages, each by its median over rounds that take turns. */
async function compare(small: readonly ListQuery[], large: readonly ListQuery[]): Promise<Row> {
  let worst = { ratio: 0, name: "", small: 0, large: 0 };
  for (const [i, query] of large.entries()) {
    const taken = { small: [] as number[], large: [] as number[] };
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [side, one] of [
        ["small", small[i]],
        ["large", query],
      ] as const) {
        const startedAt = performance.now();
        await one?.run();
        if (round > 0) taken[side].push(performance.now() - startedAt);
      }
    }
    const [least, most] = [median(taken.small), median(taken.large)];
    const ratio = Math.max(most, FLOOR_MS) / Math.max(least, FLOOR_MS);
    if (ratio > worst.ratio) worst = { ratio, name: query.name, small: least, large: most };
  }
  const times = `${worst.large.toFixed(2)} ms against ${worst.small.toFixed(2)}`;
  const against = `the worst of ${large.length} pages: ${worst.name}: ${times}; less than ${FLOOR_MS} ms counts as ${FLOOR_MS}`;
  return judge("list_10m_vs_10k", worst.ratio, against, { most: 2 });
}
