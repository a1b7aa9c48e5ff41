// The audit trail of an account: its chain, every charge and credit in one list, by seq. What follows wrongly from what is judged by
// packages/billing (trail.ts); here are the rows, and the places of moments. An account's links are entries of one stream, whose ids
// ascend: so a moment's place is found by halving the chain, some twenty look-ups however long it is, without an index of times.
import { isUuid } from "./accounts.ts";
import type { Db } from "./connect.ts";
import {
  type Count,
  countRows,
  cursorAt,
  InvalidPage,
  type Key,
  type Listing,
  type Page,
  type PageRequest,
  readPage,
  type Sql,
} from "./pages.ts";
import { readClosing } from "./retention.ts";

export type TrailCategory = "usage" | "top_up" | "refund" | "adjustment";

export type TrailFilters = {
  category?: TrailCategory;
  /** Links made at or after, and before, these moments. */
  from?: Date;
  to?: Date;
  virtualKey?: string;
  model?: string;
};

/** A credit that a later credit's link brought along. */
export type CoveredCredit = {
  id: string;
  creditsVersion: string;
  amount: string;
  category: string;
  source: string | null;
  reason: string | null;
  actor: string | null;
  reference: string | null;
  createdAt: Date;
};

/** What usage_log says of a link that is a deduction. */
export type TrailUsage = {
  id: string;
  provider: string;
  model: string;
  virtualKey: string;
  cost: string;
  inputTokens: string | null;
  outputTokens: string | null;
  totalTokens: string | null;
  usageSource: string | null;
  balanceCheck: string | null;
  requestId: string | null;
  metadata: unknown;
  settledAt: Date | null;
};

/** One link. Amounts are units with 9 decimals, signed; 64-bit numbers decimal text. */
export type TrailLink = {
  /** account_balance_audit.id */
  id: string;
  seq: string;
  kind: "usage" | "credit" | "repair";
  category: string | null;
  /** The row's own. Of a credit that covers others, `step` is the sum. */
  amount: string;
  /** balanceAfter − balanceBefore. */
  step: string | null;
  balanceBefore: string | null;
  balanceAfter: string | null;
  source: string | null;
  reason: string | null;
  actor: string | null;
  reference: string | null;
  deductionId: string | null;
  creditsVersion: string | null;
  streamKey: string | null;
  streamEntryId: string | null;
  /** Of a charge when it was made, of a credit when it was posted. */
  createdAt: Date;
  /** When the balance moved in Redis, by the entry's id. */
  movedAt: Date | null;
  appliedAt: Date | null;
  usage: TrailUsage | null;
  /** The usage_log row is gone, or is not this link's. */
  usageDiffers: boolean;
  /** At most 100, oldest first. */
  covered: CoveredCredit[];
};

const table = "data.account_balance_audit";
const keys: readonly Key[] = [
  { column: "x.account_seq", type: "bigint" },
  { column: "x.id", type: "bigint" },
];
/** Fewer than elsewhere: what is judged of a link may be a look-up of its deduction. */
const SCAN_MAX = 3_000;
const LAST = "9223372036854775807";
/** When a link of this row moved the balance, in milliseconds, as an expression. */
export const movedMs = (row: string) =>
  `coalesce(split_part(${row}.stream_entry_id, '-', 1)::numeric, floor(extract(epoch FROM ${row}.created_at) * 1000))`;

const columns = `x.id, x.account_seq AS seq, x.audit_category AS category, x.amount, x.balance_after - x.balance_before AS step,
  CASE WHEN x.deduction_id IS NOT NULL THEN 'usage' WHEN x.credits_version IS NOT NULL THEN 'credit' ELSE 'repair' END AS kind,
  x.balance_before AS "balanceBefore", x.balance_after AS "balanceAfter", x.source, x.reason, x.actor, x.reference,
  x.deduction_id AS "deductionId", x.credits_version AS "creditsVersion", x.stream_key AS "streamKey", x.stream_entry_id AS "streamEntryId",
  x.created_at AS "createdAt", to_timestamp((${movedMs("x")} / 1000)::float8) AS "movedAt", x.applied_at AS "appliedAt",
  x.deduction_id IS NOT NULL AND (u.id IS NULL OR u.settled_at IS NULL OR u.deduction_id <> x.deduction_id OR u.account_id <> x.account_id
    OR u.cost <> -x.amount OR u.account_seq IS DISTINCT FROM x.account_seq OR u.balance_before IS DISTINCT FROM x.balance_before
    OR u.balance_after IS DISTINCT FROM x.balance_after) AS "usageDiffers",
  CASE WHEN u.id IS NOT NULL THEN jsonb_build_object('id', u.id::text, 'provider', u.provider, 'model', u.model, 'virtualKey', u.virtual_key,
    'cost', u.cost::text, 'inputTokens', u.input_tokens::text, 'outputTokens', u.output_tokens::text, 'totalTokens', u.total_tokens::text,
    'usageSource', u.usage_source, 'balanceCheck', u.balance_check, 'requestId', u.request_id, 'metadata', u.metadata_json) END AS usage,
  u.settled_at AS "settledAt", coalesce(c.covered, '[]') AS covered`;

/** The version of the last credit link before x's says which credits came along; a version applied again after a loss brings none. */
const joins = `
LEFT JOIN LATERAL (SELECT * FROM data.usage_log u WHERE x.deduction_id IS NOT NULL AND u.id = x.usage_log_id LIMIT 1) u ON true
LEFT JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_object('id', r.id::text, 'creditsVersion', r.credits_version::text, 'amount', r.amount::text,
           'category', r.audit_category, 'source', r.source, 'reason', r.reason, 'actor', r.actor, 'reference', r.reference,
           'createdAt', r.created_at) ORDER BY r.credits_version) AS covered
    FROM (SELECT r.* FROM ${table} r WHERE r.account_id = x.account_id AND r.credits_version < x.credits_version AND r.account_seq IS NULL
             AND r.credits_version > coalesce((SELECT p.credits_version FROM ${table} p WHERE p.account_id = x.account_id
                   AND p.credits_version < x.credits_version AND p.account_seq IS NOT NULL ORDER BY p.credits_version DESC LIMIT 1), 0)
           ORDER BY r.credits_version LIMIT 100) r
   WHERE x.credits_version IS NOT NULL AND x.source IS DISTINCT FROM 'drawdown') c ON true`;

type Window = { seq: string; id: string };

/** Links that were settled after the window was opened stay out of it, wherever in the chain they belong. */
async function openWindow(db: Db, accountId: string, pin: string | undefined): Promise<Window> {
  if (pin !== undefined) return readWindow(pin);
  const { rows } = await db.$client.query<Window>(
    `SELECT coalesce((SELECT account_seq FROM ${table} WHERE account_id = $1 AND account_seq IS NOT NULL ORDER BY account_seq DESC LIMIT 1), 0) AS seq,
            coalesce((SELECT max(id) FROM ${table}), 0) AS id`,
    [accountId],
  );
  return rows[0] ?? { seq: "0", id: "0" };
}

function readWindow(pin: string): Window {
  const [, seq, id] = /^(-?\d{1,19})-(\d{1,19})$/.exec(pin) ?? [];
  if (seq === undefined || id === undefined) throw new InvalidPage();
  return { seq, id };
}

async function listingOf(db: Db, accountId: string, filters: TrailFilters, window: Sql[]): Promise<Listing> {
  const where: Sql[] = [(bind) => `x.account_id = ${bind(accountId)}::uuid AND x.account_seq IS NOT NULL`, ...window];
  const residual: Sql[] = [];
  const { category, from, to, virtualKey, model } = filters;
  if (category !== undefined) {
    if (category !== "usage") where.push(() => "x.deduction_id IS NULL");
    residual.push((bind) => `x.audit_category = ${bind(category)}`);
  }
  if (from !== undefined) {
    const before = await seqAt(db, accountId, from.getTime() - 1);
    where.push((bind) => `x.account_seq > ${bind(before)}::bigint`);
  }
  if (to !== undefined) {
    const last = await seqAt(db, accountId, to.getTime() - 1);
    where.push((bind) => `x.account_seq <= ${bind(last)}::bigint`);
  }
  // As look-ups: joined, the planner may read all of usage_log.
  const ofUsage = (column: string) => `(SELECT u.${column} FROM data.usage_log u WHERE u.id = x.usage_log_id)`;
  if (virtualKey !== undefined) residual.push((bind) => `${ofUsage("virtual_key")} = ${bind(virtualKey)}`);
  if (model !== undefined) residual.push((bind) => `${ofUsage("model")} = ${bind(model)}`);
  return { from: () => `${table} x`, where, residual, keys, columns, joins, scanMax: SCAN_MAX, walked: true };
}

const within = ({ seq, id }: Window): Sql[] => [
  (bind) => `x.account_seq <= ${bind(seq)}::bigint`,
  (bind) => `x.id <= ${bind(id)}::bigint`,
];

type Row = Omit<TrailLink, "usage" | "covered"> & {
  usage: Omit<TrailUsage, "settledAt"> | null;
  settledAt: Date | null;
  covered: (Omit<CoveredCredit, "createdAt"> & { createdAt: string })[];
};

/** An account's links by seq, newest first by default. Throws `InvalidPage`, and what the driver throws. */
export async function listTrail(
  db: Db,
  accountId: string,
  filters: TrailFilters,
  request: PageRequest,
): Promise<Page<TrailLink>> {
  if (!isUuid(accountId)) return { rows: [], next: null, previous: null, pin: "0-0", searching: false };
  const window = await openWindow(db, accountId, request.pin);
  const listing = await listingOf(db, accountId, filters, within(window));
  const page = await readPage<Row>(db, listing, request, `${window.seq}-${window.id}`);
  const rows = page.rows.map(({ settledAt, usage, covered, ...link }) => ({
    ...link,
    usage: usage && { ...usage, settledAt },
    covered: covered.map((one) => ({ ...one, createdAt: new Date(one.createdAt) })),
  }));
  return { ...page, rows };
}

/** How many links the filters find within the window. */
export async function countTrail(db: Db, accountId: string, filters: TrailFilters, pin: string): Promise<Count> {
  return await countRows(db, await listingOf(db, accountId, filters, within(readWindow(pin))));
}

/** How many links that the filters find came after the newest one of the window. */
export async function countNewerTrail(db: Db, accountId: string, filters: TrailFilters, pin: string): Promise<Count> {
  const { seq } = readWindow(pin);
  return await countRows(
    db,
    await listingOf(db, accountId, filters, [(bind) => `x.account_seq > ${bind(seq)}::bigint`]),
  );
}

/** The cursor of a page that begins with this seq; where it is missing, with the next one in the list's order. */
export function trailCursorAtSeq(seq: string, order: "newest" | "oldest"): string {
  return cursorAt(">=", [seq, order === "newest" ? LAST : "0"]);
}

/** The cursor of a page that begins at this moment: newest first with the last link at or before it, oldest first with the first at or after. */
export async function trailCursorAt(
  db: Db,
  accountId: string,
  moment: Date,
  order: "newest" | "oldest",
): Promise<string> {
  if (order === "newest") return trailCursorAtSeq(await seqAt(db, accountId, moment.getTime()), order);
  return cursorAt(">", [await seqAt(db, accountId, moment.getTime() - 1), LAST]);
}

/** The last seq whose link moved the balance at or before `atMs`; 0 for none. */
async function seqAt(db: Db, accountId: string, atMs: number): Promise<string> {
  const { rows } = await db.$client.query<{ seq: string }>(`SELECT ${seqAtSql("$1::uuid", "$2::numeric")} AS seq`, [
    accountId,
    atMs,
  ]);
  return rows[0]?.seq ?? "0";
}

/** As an expression. `lo` is a link not after the moment (or 0), the one that is wanted is in `lo … hi`; each step halves that. */
export function seqAtSql(account: string, atMs: string): string {
  return `(WITH RECURSIVE search(lo, hi) AS (
    SELECT 0::bigint, coalesce((SELECT account_seq FROM ${table} WHERE account_id = ${account} AND account_seq IS NOT NULL
                                 ORDER BY account_seq DESC LIMIT 1), 0)
    UNION ALL
    SELECT CASE WHEN later THEN lo ELSE l.account_seq END, CASE WHEN later THEN middle - 1 ELSE hi END
      FROM search CROSS JOIN LATERAL (SELECT hi - (hi - lo) / 2 AS middle) half
      LEFT JOIN LATERAL (SELECT account_seq, ${movedMs("a")} AS ms FROM ${table} a
                          WHERE account_id = ${account} AND account_seq >= middle ORDER BY account_seq LIMIT 1) l ON true
      CROSS JOIN LATERAL (SELECT l.account_seq IS NULL OR l.account_seq > hi OR l.ms > ${atMs} AS later) j
     WHERE lo < hi)
  SELECT lo FROM search WHERE lo >= hi LIMIT 1)`;
}

/** The balance as of a moment by the chain, and the link that decided it; undefined before the first whose neighbours are all kept. */
export async function readBalanceAt(db: Db, accountId: string, moment: Date): Promise<TrailLink | undefined> {
  if (!isUuid(accountId)) return undefined;
  const cursor = await trailCursorAt(db, accountId, moment, "newest");
  const [link] = (await listTrail(db, accountId, {}, { limit: 1, cursor })).rows;
  // A credit stays when the deductions after it leave: what it ended with is not what the balance was.
  const closing = await readClosing(db, accountId);
  return link === undefined || BigInt(link.seq) > BigInt(closing?.seq ?? 0) ? link : undefined;
}

/** A credit, limit or status that Redis has not acknowledged yet. */
export type WaitingCredit = CoveredCredit;

/** The oldest hundred of an account. */
export async function listWaitingCredits(db: Db, accountId: string): Promise<WaitingCredit[]> {
  const { rows } = await db.$client.query<WaitingCredit>(
    `SELECT id, credits_version AS "creditsVersion", amount, audit_category AS category, source, reason, actor, reference,
            created_at AS "createdAt"
       FROM ${table} WHERE account_id = $1 AND applied_at IS NULL AND credits_version IS NOT NULL ORDER BY credits_version LIMIT 100`,
    [accountId],
  );
  return rows;
}
