// `verify-chain`: every account of the books, a page at a time, each page in a comparison of its own. What is kept of it is what a
// person must see: the accounts with problems, and as far as there is room those with repairs, accepted breaks or open links.
import type { Billing } from "./billing.ts";
import { type ChainReport, judgeChains } from "./chain.ts";
import { streamKey } from "./keys.ts";
import { OpenEntries } from "./open-entries.ts";
import { type Comparison, compare, type Place, placeOf } from "./reading.ts";
import type { AccountType } from "./stream.ts";

export type VerifyOptions = {
  /** Only this account (`account_balance.id`). Its report is given whatever it says. */
  accountId?: string;
  /** How many reports are kept; accounts with problems first. All are judged and counted. */
  maxReports?: number;
  signal?: AbortSignal;
};

export type ChainVerification = {
  ok: boolean;
  accounts: number;
  links: number;
  /** Accounts with a problem. */
  broken: number;
  reports: ChainReport[];
  /** Reports that are not among `reports`. */
  left: number;
  /** Acked entries that nobody can read and no dead letter keeps. */
  unreadable: { streamKey: string; entryId: string }[];
};

type Account = Place & { id: string; newestSeq: bigint };

const PAGE_ACCOUNTS = 20_000;
const PAGE_LINKS = 2_000_000n;
const MAX_REPORTS = 1_000;
const NO_ID = "00000000-0000-0000-0000-000000000000";

/**
 * Verifies the chain of one account or of all. Changes nothing. Exact while traffic flows. Throws `BillingError`: what is
 * unreachable, `fenced`.
 */
export async function verifyChain(billing: Billing, options: VerifyOptions = {}): Promise<ChainVerification> {
  const open = new OpenEntries(billing);
  const every = Array.from({ length: billing.numShards }, (_, shard) => shard);
  const kept = new Kept(options);
  let after = NO_ID;
  for (let more = true; more && !options.signal?.aborted; ) {
    const page = await readPage(billing, options.accountId, after);
    const shards = options.accountId === undefined ? every : page.accounts.map(({ shard }) => shard);
    for (const report of await compare(billing, open, page.accounts, shards, judge)) kept.add(report);
    after = page.accounts.at(-1)?.id ?? after;
    more = page.more;
  }
  const unreadable = options.accountId === undefined ? open.unreadableOf(every) : [];
  return kept.verification(unreadable.map(({ shard, entryId }) => ({ streamKey: streamKey(shard), entryId })));
}

async function judge(comparison: Comparison<Account>): Promise<ChainReport[]> {
  // With Postgres' default of 4 MB the sorts and hashes of a page go through files, and it takes twice as long.
  await comparison.query("SET LOCAL work_mem = '64MB'");
  const subjects = comparison.readings.map(({ place, hash }) => ({
    accountId: place.id,
    ownerId: place.ownerId,
    type: place.type,
    place,
    hash,
    newestSeq: place.newestSeq,
  }));
  const unsettled = await comparison.unsettled(subjects.map(({ accountId }) => accountId));
  return await judgeChains(comparison, subjects, unsettled);
}

/** Accounts by id, as many as have about `PAGE_LINKS` links together. */
async function readPage(
  billing: Billing,
  accountId: string | undefined,
  after: string,
): Promise<{ accounts: Account[]; more: boolean }> {
  type Row = { id: string; owner_id: string; type: AccountType; newest: string | null };
  const rows = await billing.query<Row>(
    `SELECT b.id, coalesce(b.owner_userid, b.owner_tenantid) AS owner_id, CASE WHEN b.owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END AS type,
            (SELECT a.account_seq FROM data.account_balance_audit a
              WHERE a.account_id = b.id AND a.account_seq IS NOT NULL ORDER BY a.account_seq DESC LIMIT 1) AS newest
       FROM data.account_balance b WHERE ${accountId === undefined ? "b.id > $1" : "b.id = $1"} ORDER BY b.id LIMIT ${PAGE_ACCOUNTS}`,
    [accountId ?? after],
  );
  const accounts: Account[] = [];
  let links = 0n;
  for (const row of rows) {
    const newestSeq = BigInt(row.newest ?? 0);
    if (accounts.length > 0 && links + newestSeq > PAGE_LINKS) break;
    links += newestSeq;
    const account = { id: row.id, ownerId: row.owner_id, type: row.type };
    accounts.push({ ...placeOf(account, billing.numShards), id: row.id, newestSeq });
  }
  const more = accountId === undefined && (accounts.length < rows.length || rows.length === PAGE_ACCOUNTS);
  return { accounts, more };
}

/** Counts every report and keeps what matters most within its bound. */
class Kept {
  readonly #room: number;
  readonly #asked: boolean;
  readonly #broken: ChainReport[] = [];
  readonly #notable: ChainReport[] = [];
  #accounts = 0;
  #links = 0;
  #brokenCount = 0;
  #notableCount = 0;

  constructor(options: VerifyOptions) {
    this.#room = options.maxReports ?? MAX_REPORTS;
    this.#asked = options.accountId !== undefined;
  }

  add(report: ChainReport): void {
    this.#accounts += 1;
    this.#links += report.links;
    const { ok, accepted, repairs, open } = report;
    if (!ok) {
      this.#brokenCount += 1;
      if (this.#broken.length < this.#room) this.#broken.push(report);
    } else if (this.#asked || accepted.length + repairs.length + Object.keys(open).length > 0) {
      this.#notableCount += 1;
      if (this.#notable.length < this.#room) this.#notable.push(report);
    }
  }

  verification(unreadable: ChainVerification["unreadable"]): ChainVerification {
    const reports = [...this.#broken, ...this.#notable].slice(0, this.#room);
    return {
      ok: this.#brokenCount === 0 && unreadable.length === 0,
      accounts: this.#accounts,
      links: this.#links,
      broken: this.#brokenCount,
      reports,
      left: this.#brokenCount + this.#notableCount - reports.length,
      unreadable,
    };
  }
}
