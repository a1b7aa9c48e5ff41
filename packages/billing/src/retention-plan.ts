// What of the books is old enough to leave them: of each account the beginning of its chain, up to the cut, and what older producers drew
// before it. The whole chain is judged first, as verify-chain does: of an account with anything wrong or waiting, what is not beyond doubt
// stays. The newest link always stays, so that whoever asks where a chain ends finds a row.
import { movedMs, seqAtSql } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { judgeChains } from "./chain.ts";
import { formatUnits, parseUnits } from "./money.ts";
import { OpenEntries, type OpenLink } from "./open-entries.ts";
import { type Act, recordAct } from "./operations.ts";
import { inTransaction, isTransient, type Query } from "./postgres.ts";
import { type Comparison, compare, type Place, placeOf } from "./reading.ts";
import type { AccountType } from "./stream.ts";
import { closingJoin } from "./survey.ts";

/** `fileLines`: of one file. `batchLines`: removed in one transaction, and read at once. */
export type RetentionLimits = { fileLines: number; batchLines: number };

export const defaultRetentionLimits: RetentionLimits = { fileLines: 50_000, batchLines: 1_000 };

/** Links of one account (seqs), or what older producers drew on it from a moment (Postgres' text) up to another. */
export type Piece = { accountId: string } & (
  | { fromSeq: bigint; toSeq: bigint; fromAt?: never; toAt?: never }
  | { fromAt: string; toAt: string; fromSeq?: never; toSeq?: never }
);

export type PlannedPage = {
  pieces: Piece[];
  /** Accounts whose older producers' entries are all settled: what of that kind is older than the cut and comes now is too old. */
  settledBefore: string[];
  /** Accounts of which nothing goes because their chain is not whole. */
  broken: string[];
  after: string;
  more: boolean;
};

type Account = Place & { id: string; newestSeq: bigint };

const ACCOUNTS_AT_ONCE = 1_000;

/** Looks at the next accounts with rows older than the cut. */
export async function planPage(
  billing: Billing,
  open: OpenEntries,
  before: Date,
  after: string,
  { batchLines }: RetentionLimits,
): Promise<PlannedPage> {
  const accounts = await readCandidates(billing, before, after);
  const page: PlannedPage = {
    pieces: [],
    settledBefore: [],
    broken: [],
    after: accounts.at(-1)?.id ?? after,
    more: accounts.length === ACCOUNTS_AT_ONCE,
  };
  if (accounts.length === 0) return page;
  const shards = [...new Set(accounts.map(({ shard }) => shard))];
  await compare(billing, open, accounts, shards, async (comparison) => {
    Object.assign(page, { pieces: [], settledBefore: [], broken: [] }); // a comparison may begin again
    await planWithin(comparison, page, before, batchLines);
  });
  return page;
}

async function readCandidates(billing: Billing, before: Date, after: string): Promise<Account[]> {
  type Row = { id: string; owner_id: string; type: AccountType; newest: string | null };
  const rows = await billing.query<Row>(
    `SELECT b.id, coalesce(b.owner_userid, b.owner_tenantid) AS owner_id, CASE WHEN b.owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END AS type,
            (SELECT a.account_seq FROM data.account_balance_audit a
              WHERE a.account_id = b.id AND a.account_seq IS NOT NULL ORDER BY a.account_seq DESC LIMIT 1) AS newest
       FROM data.account_balance b
      WHERE b.id > $1 AND (SELECT true FROM data.usage_log u WHERE u.account_id = b.id AND u.created_at < $2 LIMIT 1)
      ORDER BY b.id LIMIT ${ACCOUNTS_AT_ONCE}`,
    [after, before],
  );
  return rows.map(({ id, owner_id: ownerId, type, newest }) => ({
    ...placeOf({ id, ownerId, type }, billing.numShards),
    id,
    newestSeq: BigInt(newest ?? 0),
  }));
}

async function planWithin(
  comparison: Comparison<Account>,
  page: PlannedPage,
  before: Date,
  batchLines: number,
): Promise<void> {
  const { query, readings } = comparison;
  const subjects = readings.map(({ place, hash }) => ({ ...place, place, hash, accountId: place.id }));
  const ids = subjects.map(({ accountId }) => accountId);
  const unsettled = await comparison.unsettled(ids);
  const reports = await judgeChains(comparison, subjects, unsettled);
  page.broken = reports.flatMap(({ ok, accountId }) => (ok ? [] : [accountId]));
  const whole = reports.flatMap(({ ok, accountId }) => (ok ? [accountId] : []));
  for (const { id, closed, last } of await readLast(query, whole, before, unsettled))
    for (let from = closed + 1n; from <= last; from += BigInt(batchLines)) {
      const to = from + BigInt(batchLines) - 1n;
      page.pieces.push({ accountId: id, fromSeq: from, toSeq: to < last ? to : last });
    }
  page.settledBefore = await withoutWaiting(query, whole, unsettled);
  page.pieces.push(...(await readOlderProducers(query, page.settledBefore, before, batchLines)));
}

/** The last link of each account that may go: moved before the cut, before anything that waits, and never the newest. */
async function readLast(query: Query, ids: readonly string[], before: Date, unsettled: readonly OpenLink[]) {
  const waiting = new Map<string, bigint>();
  for (const { accountId, seq, standing } of unsettled)
    if (seq !== null && standing !== "written_off" && seq < (waiting.get(accountId) ?? seq + 1n))
      waiting.set(accountId, seq);
  const rows = await query<{ id: string; closed: string; last: string }>(
    `SELECT b.id, b.closed_seq AS closed, least(${seqAtSql("b.id", "$2::numeric")}, w.seq - 1,
            (SELECT max(a.account_seq) - 1 FROM data.account_balance_audit a WHERE a.account_id = b.id AND a.account_seq IS NOT NULL)) AS last
       FROM unnest($1::uuid[], $3::bigint[]) AS w(id, seq) JOIN data.account_balance b USING (id) ORDER BY b.id`,
    [ids, before.getTime() - 1, ids.map((id) => waiting.get(id)?.toString() ?? null)],
  );
  return rows.map(({ id, closed, last }) => ({ id, closed: BigInt(closed), last: BigInt(last) }));
}

/** Of these accounts, those with no entry of an older producer that waits anywhere. */
async function withoutWaiting(query: Query, ids: readonly string[], unsettled: readonly OpenLink[]): Promise<string[]> {
  const waiting = new Set(unsettled.flatMap(({ accountId, seq }) => (seq === null ? [accountId] : [])));
  const letters = await query<{ id: string }>(
    `SELECT DISTINCT lower(account_id) AS id FROM data.dead_letter
      WHERE account_id = ANY($1::text[]) AND account_seq IS NULL AND state <> 'replayed'`,
    [ids],
  );
  for (const { id } of letters) waiting.add(id);
  return ids.filter((id) => !waiting.has(id));
}

/** Both drawn and settled before the cut: what came late from a producer may be in its stream still, and must be found in the books. */
async function readOlderProducers(
  query: Query,
  ids: readonly string[],
  before: Date,
  batchLines: number,
): Promise<Piece[]> {
  const starts = await query<{ id: string; at: string; next: string | null }>(
    `SELECT id, at::text, lead(at) OVER (PARTITION BY id ORDER BY at)::text AS next
       FROM (SELECT account_id AS id, created_at AS at, row_number() OVER (PARTITION BY account_id ORDER BY created_at, id) AS n
               FROM data.usage_log WHERE account_id = ANY($1::uuid[]) AND account_seq IS NULL AND settled_at < $2 AND created_at < $2) r
      WHERE n % $3 = 1 OR $3 = 1 ORDER BY id, at`,
    [ids, before, batchLines],
  );
  const pieces = starts.map(({ id, at, next }) => ({ accountId: id, fromAt: at, toAt: next ?? before.toISOString() }));
  return pieces.filter(({ fromAt, toAt }) => fromAt !== toAt); // more rows of one moment than a batch: they are one piece
}

/** A file that is on record and not over. Amounts are units with 9 decimals. */
export type RetentionFile = { id: string; name: string; operationId: string; sha256: string | null };

/**
 * Puts a file on record with what it is to hold, and the act beside it, in one transaction. Undefined when another file is not over yet, or
 * nothing is left of these pieces: somebody else removed them meanwhile.
 */
export async function planFile(
  billing: Billing,
  pieces: readonly Piece[],
  settledBefore: readonly string[],
  before: Date,
  act: Act,
): Promise<RetentionFile | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      const file = await inTransaction(billing.db, "BEGIN", (query) =>
        writePlan(query, pieces, settledBefore, before, act),
      );
      billing.observe("retention.planned", { file: file?.name });
      return file;
    } catch (error) {
      if (!isTransient(error) || attempt === MAX_TRANSIENT) throw error;
    }
  }
}

const MAX_TRANSIENT = 10;

async function writePlan(
  query: Query,
  pieces: readonly Piece[],
  settledBefore: readonly string[],
  before: Date,
  act: Act,
): Promise<RetentionFile | undefined> {
  // One file at a time: the next one's closing balances go on from this one's.
  await query("SELECT pg_advisory_xact_lock(hashtextextended('drawdown.retention', 0))");
  const [unfinished] = await query("SELECT FROM data.retention_file WHERE removed_at IS NULL LIMIT 1");
  if (unfinished) return undefined;
  await query(
    `WITH locked AS (SELECT id FROM data.account_balance WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)
     UPDATE data.account_balance b SET closed_before = $2 FROM locked l WHERE b.id = l.id AND (b.closed_before IS NULL OR b.closed_before < $2)`,
    [settledBefore, before],
  );
  const [planned] = await query<{ id: string; name: string }>(
    `SELECT id, 'usage_log/' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') || '-' || id || '.jsonl.gz' AS name
       FROM nextval('data.retention_file_id_seq') AS id`,
  );
  if (!planned) throw new TypeError("a sequence gave no value");
  const { id, name } = planned;
  // Summed first: the act is written once, with what it will do. The ranges wait for their file's row.
  const ranges = await query<RangeRow>(rangesStatement, [
    pieces.map(({ accountId }) => accountId),
    pieces.map(({ fromSeq }) => fromSeq?.toString() ?? null),
    pieces.map(({ toSeq }) => toSeq?.toString() ?? null),
    pieces.map(({ fromAt }) => fromAt ?? null),
    pieces.map(({ toAt }) => toAt ?? null),
  ]);
  if (ranges.length === 0) return undefined;
  const operationId = await recordAct(query, act, {
    action: "retention",
    targets: [name],
    result: resultOf(ranges, before),
  });
  await query("INSERT INTO data.retention_file (id, name, operation_id) VALUES ($1, $2, $3)", [id, name, operationId]);
  await query(
    `INSERT INTO data.retention_range (file_id, n, account_id, from_seq, to_seq, from_at, to_at, lines, deductions, cost, closing_balance, closing_debits)
     SELECT $1, n, account_id, from_seq, to_seq, from_at, to_at, lines, deductions, cost, closing_balance, closing_debits
       FROM jsonb_to_recordset($2::jsonb) AS r(n int, account_id uuid, from_seq bigint, to_seq bigint, from_at timestamptz, to_at timestamptz,
            lines int, deductions int, cost numeric, closing_balance numeric, closing_debits numeric)`,
    [id, JSON.stringify(ranges)],
  );
  return { id, name, operationId, sha256: null };
}

type RangeRow = { account_id: string; deductions: number; cost: string };

function resultOf(ranges: readonly RangeRow[], before: Date) {
  const cost = ranges.reduce((nanos, range) => nanos + parseUnits(range.cost), 0n);
  return {
    before: before.toISOString(),
    accounts: new Set(ranges.map(({ account_id: id }) => id)).size,
    deductions: ranges.reduce((sum, { deductions }) => sum + deductions, 0),
    cost: formatUnits(cost),
  };
}

const at = (row: string) => `to_timestamp((${movedMs(row)} / 1000)::float8)`;

/**
 * What each piece holds. A range begins after the one before it and ends with a link that is there. Of a link that there are two of (a fork
 * that was accepted) the chain goes on from the one that the next link goes on from.
 */
const rangesStatement = `
WITH piece AS (
  SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
    WITH ORDINALITY AS p(account_id, from_seq, to_seq, from_at, to_at, n)
), linked AS (
  SELECT p.n, p.account_id, b.closed_seq, coalesce(c.closing_debits, 0) AS closed_debits, max(a.account_seq) AS to_seq, min(${at("a")}) AS from_at,
         max(${at("a")}) AS to_at, count(*) AS lines, count(a.deduction_id) AS deductions,
         coalesce(-sum(a.amount) FILTER (WHERE a.deduction_id IS NOT NULL), 0)::numeric(28,9) AS cost
    FROM piece p JOIN data.account_balance b ON b.id = p.account_id ${closingJoin}
    JOIN data.account_balance_audit a ON a.account_id = p.account_id AND a.account_seq BETWEEN p.from_seq AND p.to_seq AND a.account_seq > b.closed_seq
   GROUP BY 1, 2, 3, 4
), older AS (
  SELECT p.n, p.account_id, p.from_at, p.to_at, count(*) AS lines, sum(u.cost)::numeric(28,9) AS cost
    FROM piece p JOIN data.account_balance b ON b.id = p.account_id
    JOIN data.usage_log u ON u.account_id = b.id AND u.account_seq IS NULL AND u.settled_at < b.closed_before AND u.created_at >= p.from_at AND u.created_at < p.to_at GROUP BY 1, 2, 3, 4
)
SELECT n::int, account_id, coalesce(lag(to_seq) OVER chain, closed_seq) + 1 || '' AS from_seq, to_seq::text, from_at::text, to_at::text, lines::int,
       deductions::int, cost::text,
       (SELECT a.balance_after FROM data.account_balance_audit a WHERE a.account_id = l.account_id AND a.account_seq = l.to_seq
         ORDER BY a.balance_after = (SELECT x.balance_before FROM data.account_balance_audit x WHERE x.account_id = l.account_id
                    AND x.account_seq > l.to_seq ORDER BY x.account_seq, x.id LIMIT 1) DESC NULLS LAST, a.id DESC LIMIT 1)::text AS closing_balance,
       (closed_debits + sum(cost) OVER chain)::text AS closing_debits
  FROM linked l WINDOW chain AS (PARTITION BY account_id ORDER BY to_seq)
UNION ALL
SELECT n::int, account_id, NULL, NULL, from_at::text, to_at::text, lines::int, lines::int, cost::text, NULL, NULL FROM older
ORDER BY 1`;
