// Verifying the chain: from the opening credit to Redis' balance now, every movement of an account is a link, and each follows
// from the one before. Settled links and open ones (in flight, pending, dead-lettered) are one chain, so that a running
// system shows no gap, and what is missing is missing. Reads only.
import {
  type AcceptedBreak,
  gapOf,
  isAccepted,
  judgeCredits,
  judgeSuspects,
  judgeUsage,
  type Problem,
  problem,
  push,
  readAccepted,
} from "./breaks.ts";
import { formatUnits } from "./money.ts";
import { type OpenLink, type OpenStanding, readWrittenOff } from "./open-entries.ts";
import type { Query } from "./postgres.ts";
import type { Comparison, Hash, Place } from "./reading.ts";
import type { AccountType } from "./stream.ts";
import {
  type BookedAccount,
  type LinkSurvey,
  type Reach,
  readBooked,
  SHOWN_MAX,
  surveyCredits,
  surveyLinks,
  surveyUsage,
  type UsageSurvey,
} from "./survey.ts";

/** A link that an operator's repair, or a load after a loss, appended. */
export type RepairLink = {
  seq: string;
  balanceBefore: string | null;
  balanceAfter: string | null;
  reason: string | null;
  actor: string | null;
  at: Date | null;
};

export type ChainReport = {
  accountId: string;
  ownerId: string;
  type: AccountType;
  /** No problem that was not accepted. */
  ok: boolean;
  /** Links judged, settled and open. */
  links: number;
  lastSeq: string;
  redis: { state: Hash["state"]; seq: string | null; balance: string | null };
  problems: Problem[];
  accepted: AcceptedBreak[];
  repairs: RepairLink[];
  /** What stands between the settled links and Redis, by where it is; amounts are signed. */
  open: Partial<Record<OpenStanding, { links: number; amount: string }>>;
};

/** One account as it is to be judged. `newestSeq`: its newest settled seq, read before the streams; 0 when it is not known. */
export type Subject<P extends Place = Place> = {
  accountId: string;
  ownerId: string;
  type: AccountType;
  place: P;
  hash: Hash;
  newestSeq: bigint;
};

/** Everything one snapshot says of some accounts' chains. */
type Evidence = {
  reach: Map<string, bigint>;
  links: Map<string, LinkSurvey>;
  booked: Map<string, BookedAccount>;
  usage: Map<string, UsageSurvey>;
  problems: Map<string, Problem[]>;
  accepted: Map<string, AcceptedBreak[]>;
  repairs: Map<string, RepairLink[]>;
  open: Map<string, OpenLink[]>;
};

/** Judges the chains of accounts inside one comparison. */
export async function judgeChains<P extends Place>(
  { query, behind }: Pick<Comparison<P>, "query" | "behind">,
  subjects: readonly Subject<P>[],
  unsettled: readonly OpenLink[],
): Promise<ChainReport[]> {
  const ids = subjects.map(({ accountId }) => accountId);
  const reaches = reachesOf(subjects, unsettled);
  const links = await surveyLinks(query, reaches, unsettled);
  const writtenOff = await readWrittenOffOf(query, reaches, links, unsettled);
  const suspects = ids.flatMap((accountId) =>
    (links.get(accountId)?.suspects ?? []).slice(0, SHOWN_MAX).map((seq) => ({ accountId, seq })),
  );
  const found = await judgeSuspects(query, suspects, [...unsettled, ...writtenOff]);
  const forked = [...found].flatMap(([id, list]) => (list.some(({ kind }) => kind === "fork") ? [id] : []));
  const usage = await surveyUsage(query, reaches);
  const credits = judgeCredits(await surveyCredits(query, reaches, unsettled, forked));
  const usageProblems = await judgeUsage(query, usage);
  const halfSettled = await readHalfSettled(query, ids, unsettled);
  for (const more of [credits, usageProblems, halfSettled])
    for (const [id, list] of more) for (const one of list) push(found, id, one);
  const evidence: Evidence = {
    reach: new Map(reaches.map(({ accountId, seq }) => [accountId, seq])),
    links,
    booked: await readBooked(query, ids),
    usage,
    problems: found,
    accepted: group(await readAccepted(query, ids), ({ accountId }) => accountId),
    repairs: await readRepairs(query, links),
    open: group([...unsettled, ...writtenOff], ({ accountId }) => accountId),
  };
  const newest = ({ accountId }: Subject<P>) => links.get(accountId)?.newestSeq ?? 0n;
  const ahead = subjects.filter((one) => one.hash.state === "loaded" && newest(one) > one.hash.seq);
  const lost = await behind(ahead.map((one) => ({ place: one.place, seq: newest(one) })));
  return subjects.map((subject) => report(subject, evidence, lost.has(subject.place)));
}

/** A loaded account is judged up to Redis' seq. A cold one up to its newest link, settled or read in the stream. */
function reachesOf(subjects: readonly Subject[], unsettled: readonly OpenLink[]): Reach[] {
  const newestOpen = new Map<string, bigint>();
  for (const { accountId, seq } of unsettled)
    if (seq !== null && seq > (newestOpen.get(accountId) ?? 0n)) newestOpen.set(accountId, seq);
  return subjects.map(({ accountId, hash, newestSeq }) => {
    if (hash.state === "loaded") return { accountId, seq: hash.seq, balanceNanos: hash.balanceNanos };
    const open = newestOpen.get(accountId) ?? 0n;
    return { accountId, seq: open > newestSeq ? open : newestSeq, balanceNanos: null };
  });
}

/** Only where something is unusual is it asked whether a dead letter was written off there: that has no index. */
async function readWrittenOffOf(
  query: Query,
  reaches: readonly Reach[],
  surveys: ReadonlyMap<string, LinkSurvey>,
  unsettled: readonly OpenLink[],
): Promise<OpenLink[]> {
  const strange = new Map<string, bigint>();
  for (const { accountId, seq } of reaches) {
    const survey = surveys.get(accountId);
    if ((survey?.suspects.length ?? 0) > 0 || (survey?.lastSeq ?? 0n) < seq) strange.set(accountId, seq);
  }
  const links = strange.size === 0 ? [] : await readWrittenOff(query, [...strange.keys()]);
  const known = new Set(unsettled.map(({ name }) => name));
  return links.filter(
    ({ accountId, seq, name }) => seq !== null && seq <= (strange.get(accountId) ?? 0n) && !known.has(name),
  );
}

/** Rows that an older worker wrote and nobody settled. What is still pending or unread is on its way, and no finding. */
async function readHalfSettled(
  query: Query,
  accountIds: readonly string[],
  unsettled: readonly OpenLink[],
): Promise<Map<string, Problem[]>> {
  const rows = await query<{ account_id: string; deduction_id: string; cost: string }>(
    `SELECT account_id, deduction_id, cost FROM data.usage_log WHERE settled_at IS NULL AND account_id = ANY($1::uuid[]) ORDER BY id`,
    [accountIds],
  );
  const problems = new Map<string, Problem[]>();
  const known = new Set(unsettled.map(({ name }) => name));
  for (const row of rows) {
    if (known.has(row.deduction_id)) continue; // on its way, or named by its entry
    const message = `deduction ${row.deduction_id} was written by an older worker and moved no balance; its entry is gone`;
    push(problems, row.account_id, problem("half_settled", null, message, { cost: row.cost }, [row.deduction_id]));
  }
  return problems;
}

async function readRepairs(query: Query, surveys: ReadonlyMap<string, LinkSurvey>): Promise<Map<string, RepairLink[]>> {
  const wanted = [...surveys].flatMap(([id, { repairs }]) => repairs.map((seq) => [id, seq.toString()] as const));
  const found = new Map<string, RepairLink[]>();
  if (wanted.length === 0) return found;
  type Row = RepairLink & { account_id: string };
  const rows = await query<Row>(
    `SELECT s.account_id, s.seq::text AS seq, a.balance_before AS "balanceBefore", a.balance_after AS "balanceAfter", a.reason, a.actor,
            a.created_at AS at
       FROM unnest($1::uuid[], $2::bigint[]) AS s(account_id, seq)
       LEFT JOIN data.account_balance_audit a ON a.account_id = s.account_id AND a.account_seq = s.seq
        AND a.deduction_id IS NULL AND a.credits_version IS NULL
      ORDER BY s.account_id, s.seq`,
    [wanted.map(([id]) => id), wanted.map(([, seq]) => seq)],
  );
  for (const { account_id, ...repair } of rows) push(found, account_id, repair);
  return found;
}

function report(subject: Subject, evidence: Evidence, lost: boolean): ChainReport {
  const { accountId, ownerId, type, hash } = subject;
  const links = evidence.links.get(accountId);
  const reach = evidence.reach.get(accountId) ?? 0n;
  const open = (evidence.open.get(accountId) ?? []).filter(({ seq }) => seq === null || seq <= reach);
  const found = [
    ...(evidence.problems.get(accountId) ?? []),
    ...judgeEnd(subject, links, open, lost),
    ...judgeTotals(evidence.booked.get(accountId), evidence.usage.get(accountId)),
    ...judgeUnaccounted(open),
  ];
  const unnamed =
    (links?.suspects.length ?? 0) > SHOWN_MAX || (evidence.usage.get(accountId)?.auditIds.length ?? 0) > SHOWN_MAX;
  if (unnamed) found.push(problem("more", null, `there are more problems than the first ${SHOWN_MAX} of a kind`));
  const accepted = evidence.accepted.get(accountId) ?? [];
  const problems = onceEach(found).filter((one) => !accepted.some((other) => isAccepted(one, other)));
  return {
    accountId,
    ownerId,
    type,
    ok: problems.length === 0,
    links: links?.links ?? 0,
    lastSeq: (links?.lastSeq ?? 0n).toString(),
    redis:
      hash.state === "loaded"
        ? { state: hash.state, seq: hash.seq.toString(), balance: formatUnits(hash.balanceNanos) }
        : { state: hash.state, seq: null, balance: null },
    problems,
    accepted,
    repairs: evidence.repairs.get(accountId) ?? [],
    open: sumByStanding(open),
  };
}

function judgeEnd(
  { hash, newestSeq }: Subject,
  links: LinkSurvey | undefined,
  open: readonly OpenLink[],
  lost: boolean,
): Problem[] {
  if (hash.state === "unreadable")
    return [problem("redis_end", newestSeq, "what Redis has under the account's key is no account")];
  if (hash.state === "absent") return [];
  const { seq, balanceNanos } = hash;
  const found: Problem[] = [];
  const balance = formatUnits(balanceNanos);
  if (lost) {
    const newest = (links?.newestSeq ?? 0n).toString();
    const message = `Redis is at seq ${seq}, the books have link ${newest}: Redis lost something`;
    found.push(problem("redis_lost_state", [seq + 1n, links?.newestSeq ?? 0n], message, { balance }));
  }
  const beyond = open.filter((link) => link.standing === "written_off");
  let last = links?.lastSeq ?? 0n;
  while (last < seq && beyond.some((link) => link.seq === last + 1n)) last += 1n;
  if (last < seq) found.push(gapOf(last + 1n, seq, `; Redis is at seq ${seq} with ${balance}`));
  else if (links?.ends === false && !beyond.some((link) => link.seq === seq && link.afterNanos === balanceNanos))
    found.push(problem("redis_end", seq, `Redis has ${balance}, which is not what link ${seq} ends with`, { balance }));
  return found;
}

function judgeTotals(booked: BookedAccount | undefined, usage: UsageSurvey | undefined): Problem[] {
  if (booked === undefined) return [];
  const found: Problem[] = [];
  const settledNanos = booked.closedDebitsNanos + (usage?.totalNanos ?? 0n);
  const [debits, rows] = [formatUnits(booked.totalDebitsNanos), formatUnits(settledNanos)];
  if (debits !== rows)
    found.push(
      problem("total_debits", null, `total_debits is ${debits}, the settled deductions add up to ${rows}`, {
        total_debits: debits,
        rows,
      }),
    );
  const [credits, amounts] = [formatUnits(booked.totalCreditsNanos), formatUnits(booked.creditRowsNanos)];
  if (credits !== amounts)
    found.push(
      problem("total_credits", null, `total_credits is ${credits}, the credits add up to ${amounts}`, {
        total_credits: credits,
        rows: amounts,
      }),
    );
  return found;
}

const unaccountedKinds = {
  unaccounted: "acked and not in the books: replay settles it",
  half_settled: "written by an older worker that moved no balance: replay completes it",
} as const;

function judgeUnaccounted(open: readonly OpenLink[]): Problem[] {
  return open.flatMap(({ standing, seq, name, entryId, amountNanos }) =>
    standing === "unaccounted" || standing === "half_settled"
      ? problem(
          standing,
          seq,
          `entry ${entryId} is ${unaccountedKinds[standing]}`,
          { entry_id: entryId, amount: formatUnits(amountNanos) },
          [name],
        )
      : [],
  );
}

/** A gap between two suspects, or before both branches of a fork, is found from each side. */
function onceEach(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [`${one.kind} ${one.message}`, one])).values()];
}

function sumByStanding(open: readonly OpenLink[]): ChainReport["open"] {
  const sums = new Map<OpenStanding, { links: number; nanos: bigint }>();
  for (const { standing, amountNanos } of open) {
    const sum = sums.get(standing) ?? { links: 0, nanos: 0n };
    sums.set(standing, { links: sum.links + 1, nanos: sum.nanos + amountNanos });
  }
  return Object.fromEntries(
    [...sums].map(([standing, { links, nanos }]) => [standing, { links, amount: formatUnits(nanos) }]),
  );
}

function group<V>(values: readonly V[], keyOf: (value: V) => string): Map<string, V[]> {
  const groups = new Map<string, V[]>();
  for (const value of values) push(groups, keyOf(value), value);
  return groups;
}
