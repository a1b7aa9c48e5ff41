// What can be wrong with a chain, and the naming of it. A survey points at seqs; here the few links around each are read and
// judged one by one, forks with every branch: a link is fine when it follows from any link of the seq before.
import { formatUnits, parseUnits } from "./money.ts";
import type { OpenLink } from "./open-entries.ts";
import type { Query } from "./postgres.ts";
import { SHOWN_MAX, type UsageSurvey, type WrongCredit } from "./survey.ts";

/**
 * `gap`: seqs that are nowhere. `fork`: a seq twice. `mismatch`: after[n] ≠ before[n+1]. `first_link`: seq 1 does not start from 0.
 * `wrong_step`: after ≠ before + amount. `redis_end`: Redis' balance is not its last link's. `redis_lost_state`: Redis is behind the books.
 * `total_debits`, `total_credits`: a total is not the sum of its rows. `usage_row`: a link and its usage_log row differ, or one is gone.
 * `unaccounted`: acked and not in the books. `half_settled`: written by an older worker that moved no balance. `more`: too many to name.
 */
export type ProblemKind =
  | "gap"
  | "fork"
  | "mismatch"
  | "first_link"
  | "wrong_step"
  | "redis_end"
  | "redis_lost_state"
  | "total_debits"
  | "total_credits"
  | "usage_row"
  | "unaccounted"
  | "half_settled"
  | "more";

/** Seqs are decimal text, amounts units with 9 decimals. `links` names deductions by their id, other links by their entry's. */
export type Problem = {
  kind: ProblemKind;
  fromSeq: string | null;
  toSeq: string | null;
  message: string;
  links: string[];
  details: Record<string, string | null>;
};

export type Suspect = { accountId: string; seq: bigint };

type ChainLink = {
  seq: bigint;
  name: string;
  usage: boolean;
  amountNanos: bigint;
  beforeNanos: bigint | null;
  afterNanos: bigint | null;
};

/** A problem of one seq, or of a range. */
export function problem(
  kind: ProblemKind,
  seqs: bigint | readonly [bigint, bigint] | null,
  message: string,
  details: Record<string, string | null> = {},
  links: string[] = [],
): Problem {
  const [from, to] = typeof seqs === "bigint" ? [seqs, seqs] : (seqs ?? [null, null]);
  return { kind, fromSeq: from?.toString() ?? null, toSeq: to?.toString() ?? null, message, links, details };
}

export function gapOf(from: bigint, to: bigint, rest: string): Problem {
  const seqs = from === to ? `link ${from} is` : `links ${from} to ${to} are`;
  return problem("gap", [from, to], `${seqs} neither in the books nor on the way${rest}`);
}

/** Judges the links at each suspect seq, with the open links (and what was written off) as links of the same chain. */
export async function judgeSuspects(
  query: Query,
  suspects: readonly Suspect[],
  open: readonly OpenLink[],
): Promise<Map<string, Problem[]>> {
  const problems = new Map<string, Problem[]>();
  if (suspects.length === 0) return problems;
  const links = await readLinksAround(query, suspects);
  const before = await readSeqsBefore(query, suspects);
  const openSeqs = new Map<string, bigint[]>();
  for (const link of open) {
    if (link.seq === null) continue;
    const at = keyOf(link.accountId, link.seq);
    // An entry whose usage_log row is gone is open again, and its audit row may still be there: that is one link, not a fork.
    if (links.get(at)?.some(({ name }) => name === link.name)) continue;
    push(links, at, { ...link, seq: link.seq, usage: link.kind === "usage" });
    push(openSeqs, link.accountId, link.seq);
  }
  suspects.forEach(({ accountId, seq }, i) => {
    const at = links.get(keyOf(accountId, seq)) ?? [];
    const previous = links.get(keyOf(accountId, seq - 1n)) ?? [];
    const openBefore = (openSeqs.get(accountId) ?? []).filter((one) => one < seq);
    const lastBefore = openBefore.reduce((max, one) => (one > max ? one : max), before[i] ?? 0n);
    for (const one of judgeSeq(seq, at, previous, lastBefore)) push(problems, accountId, one);
  });
  return problems;
}

function judgeSeq(
  seq: bigint,
  at: readonly ChainLink[],
  previous: readonly ChainLink[],
  lastBefore: bigint,
): Problem[] {
  const found: Problem[] = [];
  const names = at.map(({ name }) => name).toSorted();
  if (lastBefore < seq - 1n) found.push(gapOf(lastBefore + 1n, seq - 1n, `; link ${seq} is there`));
  if (at.length > 1)
    found.push(
      problem("fork", seq, `seq ${seq} was given ${at.length} times`, { amounts: at.map(amountOf).join(" ") }, names),
    );
  for (const link of at) {
    const { beforeNanos, afterNanos, amountNanos, name } = link;
    const [before, after] = [textOf(beforeNanos), textOf(afterNanos)];
    if (beforeNanos === null || afterNanos === null) {
      found.push(problem("wrong_step", seq, `link ${seq} has no balances`, { before, after }, [name]));
      continue;
    }
    if (seq === 1n && beforeNanos !== 0n)
      found.push(problem("first_link", seq, `the first link starts from ${before}, not from 0`, { before }, [name]));
    if (previous.length > 0 && !previous.some((one) => one.afterNanos === beforeNanos))
      found.push(mismatchOf(seq, beforeNanos, previous, name));
    if (link.usage && afterNanos !== beforeNanos + amountNanos)
      found.push(
        problem(
          "wrong_step",
          seq,
          `link ${seq} goes from ${before} to ${after}, its amount is ${amountOf(link)}`,
          { before, after, amount: amountOf(link) },
          [name],
        ),
      );
  }
  return found;
}

function mismatchOf(seq: bigint, beforeNanos: bigint, previous: readonly ChainLink[], name: string): Problem {
  const afters = previous.map(({ afterNanos }) => textOf(afterNanos)).join(" or ");
  const before = formatUnits(beforeNanos);
  return problem(
    "mismatch",
    seq,
    `link ${seq - 1n} ends with ${afters}, link ${seq} starts from ${before}`,
    { previous_after: afters, before },
    [name],
  );
}

/** The links at each suspect's seq and at the seq before it, by account and seq. */
async function readLinksAround(query: Query, suspects: readonly Suspect[]): Promise<Map<string, ChainLink[]>> {
  type Row = Record<"id" | "account_id" | "seq" | "name" | "amount", string> & {
    usage: boolean;
    before: string | null;
    after: string | null;
  };
  const rows = await query<Row>(
    `SELECT DISTINCT a.id, a.account_id, a.account_seq AS seq, coalesce(a.deduction_id, a.stream_entry_id, 'audit row ' || a.id) AS name,
            a.deduction_id IS NOT NULL AS usage, a.amount, a.balance_before AS before, a.balance_after AS after
       FROM unnest($1::uuid[], $2::bigint[]) AS s(account_id, seq)
       JOIN data.account_balance b ON b.id = s.account_id
       JOIN data.account_balance_audit a ON a.account_id = b.id AND a.account_seq IN (s.seq - 1, s.seq) AND a.account_seq > b.closed_seq
     UNION ALL
     SELECT 0, b.id, c.to_seq, 'closing balance', false, 0, NULL, c.closing_balance
       FROM unnest($1::uuid[], $2::bigint[]) AS s(account_id, seq)
       JOIN data.account_balance b ON b.id = s.account_id AND b.closed_seq = s.seq - 1
       JOIN data.retention_range c ON c.account_id = b.id AND c.to_seq = b.closed_seq`,
    columnsOf(suspects),
  );
  const links = new Map<string, ChainLink[]>();
  for (const row of rows) {
    const seq = BigInt(row.seq);
    push(links, keyOf(row.account_id, seq), {
      seq,
      name: row.name,
      usage: row.usage,
      amountNanos: parseUnits(row.amount),
      beforeNanos: row.before === null ? null : parseUnits(row.before),
      afterNanos: row.after === null ? null : parseUnits(row.after),
    });
  }
  return links;
}

/** For each suspect the highest settled seq below its own, or that of its account's closing balance; 0 for none. */
async function readSeqsBefore(query: Query, suspects: readonly Suspect[]): Promise<bigint[]> {
  const rows = await query<{ before: string | null }>(
    `SELECT greatest(b.closed_seq, (SELECT a.account_seq FROM data.account_balance_audit a
              WHERE a.account_id = s.account_id AND a.account_seq < s.seq AND a.account_seq > 0 ORDER BY a.account_seq DESC LIMIT 1)) AS before
       FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS s(account_id, seq, n)
       LEFT JOIN data.account_balance b ON b.id = s.account_id ORDER BY n`,
    columnsOf(suspects),
  );
  return rows.map(({ before }) => BigInt(before ?? 0));
}

function columnsOf(suspects: readonly Suspect[]): unknown[] {
  return [suspects.map(({ accountId }) => accountId), suspects.map(({ seq }) => seq.toString())];
}

export function judgeCredits(wrong: readonly WrongCredit[]): Map<string, Problem[]> {
  const problems = new Map<string, Problem[]>();
  for (const { accountId, seq, version, stepNanos, dueNanos } of wrong) {
    const [step, due] = [textOf(stepNanos), textOf(dueNanos)];
    const message =
      due === null
        ? `link ${seq} applies credits version ${version}, which the books do not have`
        : `link ${seq} moves the balance by ${step}, the credits up to version ${version} since the link before it are ${due}`;
    push(problems, accountId, problem("wrong_step", seq, message, { step, credits: due, version: version.toString() }));
  }
  return problems;
}

type UsageRow = Record<"id" | "account_id" | "deduction_id" | "cost", string> &
  Record<"seq" | "balance_before" | "balance_after", string | null> & { settled: boolean };
type AuditRow = Record<"id" | "account_id" | "deduction_id" | "amount", string> &
  Record<"seq" | "balance_before" | "balance_after" | "usage_log_id", string | null>;

/** Names what is wrong with deductions whose two rows are not each other's. */
export async function judgeUsage(
  query: Query,
  surveys: ReadonlyMap<string, UsageSurvey>,
): Promise<Map<string, Problem[]>> {
  const problems = new Map<string, Problem[]>();
  const auditIds = [...surveys.values()].flatMap((survey) => survey.auditIds.slice(0, SHOWN_MAX));
  const usageIds = [...surveys.values()].flatMap((survey) => survey.usageIds.slice(0, SHOWN_MAX));
  if (auditIds.length + usageIds.length === 0) return problems;
  const audits = await query<AuditRow>(
    `SELECT id, account_id, deduction_id, amount, account_seq AS seq, balance_before, balance_after, usage_log_id
       FROM data.account_balance_audit WHERE id = ANY($1) ORDER BY account_id, account_seq`,
    [auditIds],
  );
  const usages = await query<UsageRow>(
    `SELECT id, account_id, deduction_id, cost, account_seq AS seq, balance_before, balance_after, settled_at IS NOT NULL AS settled
       FROM data.usage_log WHERE id = ANY($1) OR id = ANY($2) OR deduction_id = ANY($3) ORDER BY account_id, account_seq`,
    [usageIds, audits.map((row) => row.usage_log_id), audits.map((row) => row.deduction_id)],
  );
  const byDeduction = new Map(usages.map((row) => [row.deduction_id, row]));
  const byId = new Map(usages.map((row) => [row.id, row]));
  const explained = new Set<string>();
  for (const audit of audits) {
    const usage = byDeduction.get(audit.deduction_id) ?? byId.get(audit.usage_log_id ?? "");
    if (usage) explained.add(usage.id);
    push(problems, audit.account_id, differenceOf(audit, usage));
  }
  const wanted = new Set(usageIds);
  for (const usage of usages) {
    if (!wanted.has(usage.id) || explained.has(usage.id)) continue;
    const message = `deduction ${usage.deduction_id} is settled in usage_log and has no audit row`;
    push(
      problems,
      usage.account_id,
      problem("usage_row", seqOf(usage), message, { cost: usage.cost }, [usage.deduction_id]),
    );
  }
  return problems;
}

function differenceOf(audit: AuditRow, usage: UsageRow | undefined): Problem {
  const say = (message: string, details: Record<string, string | null> = {}) =>
    problem("usage_row", seqOf(audit), `deduction ${audit.deduction_id}: ${message}`, details, [audit.deduction_id]);
  if (usage === undefined) return say("its usage_log row is gone", { amount: audit.amount });
  if (!usage.settled) return say("its usage_log row is not settled");
  const cost = formatUnits(-parseUnits(audit.amount));
  const pairs: [string, string | null, string | null][] = [
    ["id", audit.usage_log_id, usage.id],
    ["deduction_id", audit.deduction_id, usage.deduction_id],
    ["account_id", audit.account_id, usage.account_id],
    ["cost", cost, usage.cost],
    ["account_seq", audit.seq, usage.seq],
    ["balance_before", audit.balance_before, usage.balance_before],
    ["balance_after", audit.balance_after, usage.balance_after],
  ];
  const different = pairs.filter(([, ours, theirs]) => ours !== theirs);
  const said = different.map(([name, ours, theirs]) => `${name} is ${ours} here and ${theirs} in usage_log`);
  return say(
    said.join(", "),
    Object.fromEntries(
      different.flatMap(([name, a, u]) => [
        [name, a],
        [`usage_log_${name}`, u],
      ]),
    ),
  );
}

function seqOf(row: { seq: string | null }): bigint | null {
  return row.seq === null ? null : BigInt(row.seq);
}

export function push<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function keyOf(accountId: string, seq: bigint): string {
  return `${accountId}/${seq}`;
}

function textOf(nanos: bigint | null): string | null {
  return nanos === null ? null : formatUnits(nanos);
}

function amountOf({ amountNanos }: ChainLink): string {
  return formatUnits(amountNanos);
}

/** A break that an operator accepted: it happened, it is explained, and it is shown for ever. */
export type AcceptedBreak = {
  actionId: string;
  accountId: string;
  kind: ProblemKind;
  fromSeq: string;
  toSeq: string;
  links: string[];
  details: Record<string, string | null>;
  actor: string;
  role: string;
  reason: string;
  acceptedAt: Date;
};

/** The action under which an acceptance is on record, with `{breaks}` as its result. */
export const ACCEPT = "accept";

/** One accepted break as it is on record. */
export type BreakRecord = {
  account_id: string;
  kind: ProblemKind;
  from_seq: string;
  to_seq: string;
  links: string[];
  details: Record<string, string | null>;
};

/** The acceptances of these accounts, oldest first. They are operator actions, which nothing changes or removes. */
export async function readAccepted(query: Query, accountIds: readonly string[]): Promise<AcceptedBreak[]> {
  type Row = { id: string; actor: string; role: string; reason: string; at: Date; break: BreakRecord };
  const rows = await query<Row>(
    `SELECT a.id, a.actor, a.role, a.reason, a.started_at AS at, b.break
       FROM data.operator_action a CROSS JOIN LATERAL jsonb_array_elements(a.result->'breaks') AS b(break)
      WHERE a.action = '${ACCEPT}' AND b.break->>'account_id' = ANY($1::text[]) ORDER BY a.started_at, a.id`,
    [accountIds],
  );
  return rows.map(({ id, actor, role, reason, at, break: one }) => ({
    actionId: id,
    accountId: one.account_id,
    kind: one.kind,
    fromSeq: one.from_seq,
    toSeq: one.to_seq,
    links: one.links,
    details: one.details,
    actor,
    role,
    reason,
    acceptedAt: at,
  }));
}

/** Kinds that can be accepted: what really happened in Redis and no act can undo. All else can be put right. */
export const ACCEPTABLE: ReadonlySet<ProblemKind> = new Set(["gap", "fork", "mismatch", "first_link"]);

/** Whether an acceptance is of this very break: a gap may have shrunk since, a fork must not have grown, an amount not changed. */
export function isAccepted(found: Problem, accepted: AcceptedBreak): boolean {
  if (found.kind !== accepted.kind || found.fromSeq === null || found.toSeq === null) return false;
  const inside = BigInt(accepted.fromSeq) <= BigInt(found.fromSeq) && BigInt(found.toSeq) <= BigInt(accepted.toSeq);
  if (found.kind === "gap") return inside;
  const known = new Set(accepted.links);
  if (!inside || !found.links.every((link) => known.has(link))) return false;
  return (
    found.kind === "fork" || Object.entries(found.details).every(([name, text]) => accepted.details[name] === text)
  );
}
