// The chains of many accounts looked over in a few set-based statements. A survey only points at what is unusual: each link
// against the one before it, each deduction against its usage_log row, each total against its rows. The few places that it points
// at are then read again and judged by chain.ts. Long chains are taken in slices by seq, so that no statement runs for minutes.
import { formatUnits, parseUnits } from "./money.ts";
import type { OpenLink } from "./open-entries.ts";
import type { Query } from "./postgres.ts";

/** How far an account's chain is to be judged, and the balance it must end with there; null when Redis has no say. */
export type Reach = { accountId: string; seq: bigint; balanceNanos: bigint | null };

export type LinkSurvey = {
  links: number;
  /** The last link within reach, settled or open. 0 for none. */
  lastSeq: bigint;
  /** The newest settled link, also beyond reach. */
  newestSeq: bigint;
  /** Some link at the reach has its balance. */
  ends: boolean;
  /** Seqs whose link does not follow from the one before: at most `SHOWN_MAX` and one more. */
  suspects: bigint[];
  repairs: bigint[];
};

/** How many of one account's findings of a kind are read and named. More are counted as one finding that says so. */
export const SHOWN_MAX = 1_000;

/** Some ten seconds of one statement. */
const LINKS_AT_ONCE = 2_000_000n;
const LAST_SEQ = 9_000_000_000_000_000_000n;

type Slice = { after: bigint; to: bigint };

/** Slices of seqs of about so many links together; one for most pages of accounts. */
function slicesOf(reaches: readonly Reach[], linksAtOnce: bigint): Slice[] {
  const longest = reaches.reduce((max, { seq }) => (seq > max ? seq : max), 0n);
  const all = reaches.reduce((sum, { seq }) => sum + seq, 0n);
  if (all <= linksAtOnce) return [{ after: 0n, to: LAST_SEQ }];
  const height = linksAtOnce / BigInt(reaches.length) + 1n;
  const slices: Slice[] = [];
  for (let after = 0n; after < longest; after += height) slices.push({ after, to: after + height });
  const last = slices.at(-1);
  if (last) last.to = LAST_SEQ;
  return slices;
}

/** Of `b`, an account: what its chain goes on from, when its first links were exported and removed (retention.ts). */
export const closingJoin = "LEFT JOIN data.retention_range c ON c.account_id = b.id AND c.to_seq = b.closed_seq";

/** The closing balance is the link before the first that is kept; without one an account begins at 0. An audit row is a repair link when it is neither a deduction nor a credit. */
const linkStatement = `
WITH reach AS MATERIALIZED (
  SELECT r.*, coalesce(b.closed_seq, 0) AS closed_seq, coalesce(c.closing_balance, 0) AS closing_balance
    FROM unnest($1::uuid[], $2::bigint[], $3::numeric[]) AS r(account_id, reach, balance)
    LEFT JOIN data.account_balance b ON b.id = r.account_id ${closingJoin}
), link AS (
  SELECT account_id, account_seq AS seq, id, true AS settled, deduction_id IS NOT NULL AS usage,
         deduction_id IS NULL AND credits_version IS NULL AS repair, false AS closing, amount, balance_before AS before, balance_after AS after
    FROM data.account_balance_audit WHERE account_id = ANY($1::uuid[]) AND account_seq BETWEEN $4 AND $5
  UNION ALL
  SELECT account_id, seq, 0, false, kind = 'usage', kind = 'repair', false, amount, before, after
    FROM unnest($6::uuid[], $7::bigint[], $8::text[], $9::numeric[], $10::numeric[], $11::numeric[]) AS o(account_id, seq, kind, amount, before, after)
   WHERE seq BETWEEN $4 AND $5
  UNION ALL
  SELECT account_id, closed_seq, ${LAST_SEQ}, true, false, false, true, 0, NULL, closing_balance FROM reach WHERE closed_seq BETWEEN $4 AND $5
), chained AS (
  SELECT *, lag(seq, 1, $4::bigint) OVER chain AS prev_seq, lag(after) OVER chain AS prev_after FROM link WINDOW chain AS (PARTITION BY account_id ORDER BY seq, id)
), judged AS (
  SELECT account_id, seq, settled, repair, closing, after, reach, balance, seq <= reach AS within, NOT closing AND (seq <> prev_seq + 1
         OR before IS DISTINCT FROM prev_after OR usage AND after IS DISTINCT FROM before + amount) AS suspect
    FROM chained JOIN reach USING (account_id) WHERE seq > $4 AND (seq > closed_seq OR closing)
)
SELECT account_id, count(*) FILTER (WHERE within AND NOT closing) AS links, max(seq) FILTER (WHERE within OR closing) AS last_seq,
       max(seq) FILTER (WHERE settled) AS newest_seq, coalesce(bool_or(seq = reach AND after = balance), false) AS ends,
       (array_agg(seq ORDER BY seq) FILTER (WHERE suspect AND within))[1:${SHOWN_MAX + 1}] AS suspects,
       (array_agg(seq ORDER BY seq) FILTER (WHERE repair AND within))[1:${SHOWN_MAX}] AS repairs
  FROM judged GROUP BY account_id`;

type LinkRow = {
  account_id: string;
  links: string;
  last_seq: string | null;
  newest_seq: string | null;
  ends: boolean;
  suspects: string[] | null;
  repairs: string[] | null;
};

/** Follows every chain, settled and open links together. */
export async function surveyLinks(
  query: Query,
  reaches: readonly Reach[],
  open: readonly OpenLink[],
  linksAtOnce = LINKS_AT_ONCE,
): Promise<Map<string, LinkSurvey>> {
  const found = new Map<string, LinkSurvey>();
  const links = open.filter((link) => link.seq !== null);
  const amount = (nanos: bigint | null) => (nanos === null ? null : formatUnits(nanos));
  const reachColumns = [
    reaches.map(({ accountId }) => accountId),
    reaches.map(({ seq }) => seq.toString()),
    reaches.map(({ balanceNanos }) => amount(balanceNanos)),
  ];
  const openColumns = [
    links.map((link) => link.accountId),
    links.map((link) => link.seq?.toString()),
    links.map((link) => link.kind),
    links.map((link) => amount(link.amountNanos)),
    links.map((link) => amount(link.beforeNanos)),
    links.map((link) => amount(link.afterNanos)),
  ];
  for (const { after, to } of slicesOf(reaches, linksAtOnce)) {
    const values = [...reachColumns, after.toString(), to.toString(), ...openColumns];
    for (const row of await query<LinkRow>(linkStatement, values)) addLinks(found, row);
  }
  return found;
}

function addLinks(found: Map<string, LinkSurvey>, row: LinkRow): void {
  const before = found.get(row.account_id);
  const seqs = (texts: string[] | null) => (texts ?? []).map(BigInt);
  found.set(row.account_id, {
    links: (before?.links ?? 0) + Number(row.links),
    lastSeq: BigInt(row.last_seq ?? before?.lastSeq ?? 0),
    newestSeq: BigInt(row.newest_seq ?? before?.newestSeq ?? 0),
    ends: row.ends || (before?.ends ?? false),
    suspects: [...(before?.suspects ?? []), ...seqs(row.suspects)].slice(0, SHOWN_MAX + 1),
    repairs: [...(before?.repairs ?? []), ...seqs(row.repairs)].slice(0, SHOWN_MAX),
  });
}

export type UsageSurvey = {
  totalNanos: bigint /** Rows without an equal partner. */;
  usageIds: string[];
  auditIds: string[];
};

/** A slice cuts both tables by seq, so rows that disagree on the seq have no partner either. */
const usageStatement = `
SELECT coalesce(u.account_id, a.account_id) AS account_id, coalesce(sum(u.cost), 0) AS total,
       (array_agg(u.id) FILTER (WHERE u.id IS NOT NULL AND (a.id IS NULL OR differs)))[1:${SHOWN_MAX + 1}] AS usage_ids,
       (array_agg(a.id) FILTER (WHERE a.id IS NOT NULL AND (u.id IS NULL OR differs)))[1:${SHOWN_MAX + 1}] AS audit_ids
  FROM (SELECT id, account_id, deduction_id, cost, account_seq, balance_before, balance_after FROM data.usage_log
         WHERE account_id = ANY($1::uuid[]) AND account_seq > $2 AND account_seq <= $3 AND settled_at IS NOT NULL) u
  FULL JOIN
       (SELECT id, account_id, deduction_id, amount, account_seq, balance_before, balance_after, usage_log_id FROM data.account_balance_audit
         WHERE account_id = ANY($1::uuid[]) AND account_seq > $2 AND account_seq <= $3 AND deduction_id IS NOT NULL) a
    ON a.usage_log_id = u.id AND a.account_id = u.account_id
 CROSS JOIN LATERAL (SELECT a.deduction_id <> u.deduction_id OR a.amount <> -u.cost OR a.account_seq <> u.account_seq
        OR a.balance_before IS DISTINCT FROM u.balance_before OR a.balance_after IS DISTINCT FROM u.balance_after AS differs) d
 GROUP BY 1`;

/** Each settled deduction of ours against its audit row, and the sum of both sides' accounts. */
export async function surveyUsage(
  query: Query,
  reaches: readonly Reach[],
  linksAtOnce = LINKS_AT_ONCE,
): Promise<Map<string, UsageSurvey>> {
  const found = new Map<string, UsageSurvey>();
  const ids = reaches.map(({ accountId }) => accountId);
  type Row = { account_id: string; total: string; usage_ids: string[] | null; audit_ids: string[] | null };
  for (const { after, to } of slicesOf(reaches, linksAtOnce)) {
    const from = after === 0n ? -LAST_SEQ : after;
    for (const row of await query<Row>(usageStatement, [ids, from.toString(), to.toString()])) {
      const before = found.get(row.account_id);
      found.set(row.account_id, {
        totalNanos: (before?.totalNanos ?? 0n) + parseUnits(row.total),
        usageIds: [...(before?.usageIds ?? []), ...(row.usage_ids ?? [])].slice(0, SHOWN_MAX + 1),
        auditIds: [...(before?.auditIds ?? []), ...(row.audit_ids ?? [])].slice(0, SHOWN_MAX + 1),
      });
    }
  }
  return found;
}

export type WrongCredit = {
  accountId: string;
  seq: bigint;
  version: bigint;
  stepNanos: bigint | null;
  dueNanos: bigint | null;
};

/**
 * The step of a credit link is the sum of the amounts since the version of the credit link before it; rows of covered versions carry no
 * link. Where a chain forked, each branch may have applied a version: there any earlier link will do.
 */
const creditStatement = `
WITH version AS (
  SELECT account_id, credits_version AS version, sum(sum(amount)) OVER (PARTITION BY account_id ORDER BY credits_version) AS total
    FROM data.account_balance_audit WHERE account_id = ANY($1::uuid[]) AND credits_version IS NOT NULL GROUP BY 1, 2
), link AS (
  SELECT account_id, account_seq AS seq, id, credits_version AS version, balance_after - balance_before AS step
    FROM data.account_balance_audit WHERE account_id = ANY($1::uuid[]) AND credits_version IS NOT NULL AND account_seq IS NOT NULL
  UNION ALL
  SELECT account_id, seq, 0, version, step FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::numeric[]) AS o(account_id, seq, version, step)
), stepped AS (
  SELECT link.*, total, total - lag(total, 1, 0::numeric) OVER (PARTITION BY account_id ORDER BY seq, id) AS due
    FROM link LEFT JOIN version USING (account_id, version)
)
SELECT s.account_id, s.seq, s.version, s.step, s.due
  FROM stepped s JOIN unnest($1::uuid[], $2::bigint[]) AS r(account_id, reach) ON r.account_id = s.account_id AND s.seq <= r.reach
 WHERE s.step IS DISTINCT FROM s.due
   AND NOT (s.account_id = ANY($3::uuid[]) AND (s.step = s.total OR EXISTS (
         SELECT FROM stepped p WHERE p.account_id = s.account_id AND p.seq < s.seq AND s.step = s.total - p.total)))
 ORDER BY s.account_id, s.seq`;

/** The credit links whose step is not what their versions add up to. */
export async function surveyCredits(
  query: Query,
  reaches: readonly Reach[],
  open: readonly OpenLink[],
  forked: readonly string[],
): Promise<WrongCredit[]> {
  const credits = open.filter((link) => link.kind === "credit" && link.seq !== null);
  const step = ({ beforeNanos, afterNanos }: OpenLink) =>
    beforeNanos === null || afterNanos === null ? null : formatUnits(afterNanos - beforeNanos);
  type Row = { account_id: string; seq: string; version: string; step: string | null; due: string | null };
  const rows = await query<Row>(creditStatement, [
    reaches.map(({ accountId }) => accountId),
    reaches.map(({ seq }) => seq.toString()),
    forked,
    credits.map((link) => link.accountId),
    credits.map((link) => link.seq?.toString()),
    credits.map((link) => link.version?.toString()),
    credits.map(step),
  ]);
  return rows.map((row) => ({
    accountId: row.account_id,
    seq: BigInt(row.seq),
    version: BigInt(row.version),
    stepNanos: row.step === null ? null : parseUnits(row.step),
    dueNanos: row.due === null ? null : parseUnits(row.due),
  }));
}

export type BookedAccount = {
  id: string;
  currency: string;
  status: string;
  limitNanos: bigint;
  totalCreditsNanos: bigint;
  totalDebitsNanos: bigint;
  version: bigint;
  /** Σ of the amounts of its credit rows. */
  creditRowsNanos: bigint;
  /** Its own deductions up to this link are exported and removed, and cost so much. */
  closedSeq: bigint;
  closedDebitsNanos: bigint;
};

/** The accounts' own rows, each with the sum of its credits. */
export async function readBooked(query: Query, accountIds: readonly string[]): Promise<Map<string, BookedAccount>> {
  type Row = Record<
    | "id"
    | "currency"
    | "status"
    | "credit_limit"
    | "total_credits"
    | "total_debits"
    | "credits_version"
    | "credits"
    | "closed_seq"
    | "closed_debits",
    string
  >;
  const rows = await query<Row>(
    `SELECT b.id, b.currency, b.status, b.credit_limit, b.total_credits, b.total_debits, b.credits_version, coalesce(a.total, 0) AS credits,
            b.closed_seq, coalesce(c.closing_debits, 0) AS closed_debits
       FROM data.account_balance b
       LEFT JOIN (SELECT account_id, sum(amount) AS total FROM data.account_balance_audit
                   WHERE account_id = ANY($1::uuid[]) AND credits_version IS NOT NULL GROUP BY account_id) a ON a.account_id = b.id
       ${closingJoin}
      WHERE b.id = ANY($1::uuid[])`,
    [accountIds],
  );
  const read = (row: Row): BookedAccount => ({
    id: row.id,
    currency: row.currency,
    status: row.status,
    limitNanos: parseUnits(row.credit_limit),
    totalCreditsNanos: parseUnits(row.total_credits),
    totalDebitsNanos: parseUnits(row.total_debits),
    version: BigInt(row.credits_version),
    creditRowsNanos: parseUnits(row.credits),
    closedSeq: BigInt(row.closed_seq),
    closedDebitsNanos: parseUnits(row.closed_debits),
  });
  return new Map(rows.map((row) => [row.id, read(row)]));
}
