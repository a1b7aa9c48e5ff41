// The audit trail with its breaks in place: each link of a page judged against its neighbours in the whole chain, by the judgement of
// verify-chain (breaks.ts). What is missing between two links is looked for among the dead letters, and, only where something is missing
// still, in the account's stream: so a page of a sound chain asks Postgres alone, and a gap is shown only when the link is nowhere.
import { listTrail, type Page, type PageRequest, type TrailFilters, type TrailLink } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import {
  type AcceptedBreak,
  isAccepted,
  judgeCredits,
  judgeSuspects,
  judgeUsage,
  type Problem,
  readAccepted,
} from "./breaks.ts";
import { BillingError } from "./errors.ts";
import { shardOf } from "./keys.ts";
import { formatUnits } from "./money.ts";
import { OpenEntries, type OpenLink, type OpenStanding, readUnsettled, readWrittenOff } from "./open-entries.ts";
import { fromBooks, type Query, queryOf } from "./postgres.ts";
import { surveyCredits } from "./survey.ts";

/** `accepted`: by whom and why it is no alarm. `unsure`: a gap while Redis cannot be asked; its links may be on their way. */
export type TrailProblem = Problem & { accepted: AcceptedBreak | null; unsure: boolean };

/** A link of the chain that is drawn and not settled. Amounts are units with 9 decimals, signed. */
export type WaitingLink = {
  seq: string;
  name: string;
  kind: OpenLink["kind"];
  standing: OpenStanding;
  amount: string;
  balanceBefore: string | null;
  balanceAfter: string | null;
  streamEntryId: string;
};

/** A link, what is wrong at its place, and what waits between it and the settled link before it. */
export type TrailRow = TrailLink & { problems: TrailProblem[]; waiting: WaitingLink[] };

/** A page of an account's trail. Throws `InvalidPage`, `postgres_unavailable`. */
export async function readTrail(
  billing: Billing,
  accountId: string,
  filters: TrailFilters,
  request: PageRequest,
): Promise<Page<TrailRow>> {
  const page = await fromBooks(listTrail(billing.db, accountId, filters, request));
  if (page.rows.length === 0) return { ...page, rows: [] };
  const query = queryOf(billing.db);
  const { problems, open, unsure } = await judgePage(billing, query, accountId, page.rows);
  const accepted = await readAccepted(query, [accountId]);
  const judged = problems.map((one) => ({
    ...one,
    accepted: accepted.find((other) => isAccepted(one, other)) ?? null,
    unsure: unsure && one.kind === "gap",
  }));
  const waiting = await placeWaiting(query, accountId, page.rows, open);
  return {
    ...page,
    rows: page.rows.map((link) => ({
      ...link,
      problems: judged.filter((one) => standsAt(one, link)),
      waiting: waiting.get(link.seq) ?? [],
    })),
  };
}

/** A gap stands at the link after it, all else at its own. */
function standsAt(found: Problem, link: TrailLink): boolean {
  if (found.kind === "gap") return found.toSeq !== null && BigInt(found.toSeq) + 1n === BigInt(link.seq);
  if (found.kind === "usage_row") return found.links.includes(link.deductionId ?? "");
  if (found.fromSeq !== link.seq) return false;
  return found.links.length === 0 ? link.kind === "credit" : found.links.includes(nameOf(link));
}

/** As breaks.ts names links. */
function nameOf(link: TrailLink): string {
  return link.deductionId ?? link.streamEntryId ?? `audit row ${link.id}`;
}

type Judged = { problems: Problem[]; open: OpenLink[]; unsure: boolean };

async function judgePage(billing: Billing, query: Query, accountId: string, links: TrailLink[]): Promise<Judged> {
  const suspects = [...new Set(links.map(({ seq }) => seq))].map((seq) => ({ accountId, seq: BigInt(seq) }));
  let open = await readUnsettled(query, new OpenEntries(billing), [], [accountId]);
  let found = (await judgeSuspects(query, suspects, open)).get(accountId) ?? [];
  let unsure = false;
  if (found.some(({ kind }) => kind === "gap")) {
    const wider = await readOpen(billing, query, accountId);
    unsure = wider.unsure;
    open = wider.open;
    const around = open.flatMap(({ seq }) => (seq !== null && isNear(seq, links) ? [{ accountId, seq }] : []));
    found = (await judgeSuspects(query, [...suspects, ...around], open)).get(accountId) ?? [];
  }
  const forked = found.some(({ kind }) => kind === "fork");
  const credits = await judgeCreditLinks(query, accountId, links, open, forked);
  const usage = await judgeUsageLinks(query, accountId, links);
  const once = new Map([...found, ...credits, ...usage].map((one) => [`${one.kind} ${one.message}`, one]));
  return { problems: [...once.values()], open, unsure };
}

function isNear(seq: bigint, links: readonly TrailLink[]): boolean {
  const seqs = links.map((link) => BigInt(link.seq));
  const [first, last] = [seqs.reduce((a, b) => (a < b ? a : b)), seqs.reduce((a, b) => (a > b ? a : b))];
  return seq > first && seq < last;
}

/** Everything that is not settled, the account's stream included. */
async function readOpen(
  billing: Billing,
  query: Query,
  accountId: string,
): Promise<{ open: OpenLink[]; unsure: boolean }> {
  const shard = shardOf(accountId, billing.numShards);
  const entries = new OpenEntries(billing);
  const writtenOff = await readWrittenOff(query, [accountId]);
  let unsure = false;
  try {
    await entries.advance([shard]);
  } catch (error) {
    if (!(error instanceof BillingError) || error.code === "postgres_unavailable") throw error;
    unsure = true;
  }
  const unsettled = await readUnsettled(query, entries, unsure ? [] : [shard], [accountId]);
  const known = new Set(unsettled.map(({ name }) => name));
  return { open: [...unsettled, ...writtenOff.filter(({ name }) => !known.has(name))], unsure };
}

/** A credit link's step is what its versions add up to. Only where it is not, all the account's credits are gone through. */
async function judgeCreditLinks(
  query: Query,
  accountId: string,
  links: readonly TrailLink[],
  open: readonly OpenLink[],
  forked: boolean,
): Promise<Problem[]> {
  const credits = links.filter(({ kind }) => kind === "credit");
  if (credits.length === 0) return [];
  const doubtful = await query<{ seq: string }>(stepStatement, [
    accountId,
    credits.map(({ seq }) => seq),
    credits.map(({ id }) => id),
    credits.map(({ creditsVersion }) => creditsVersion),
    credits.map(({ step }) => step),
  ]);
  if (doubtful.length === 0) return [];
  const reach = credits.reduce((max, { seq }) => (BigInt(seq) > max ? BigInt(seq) : max), 0n);
  const wrong = await surveyCredits(
    query,
    [{ accountId, seq: reach, balanceNanos: null }],
    open,
    forked || (await isForked(query, accountId)) ? [accountId] : [],
  );
  const here = new Set(doubtful.map(({ seq }) => seq));
  return judgeCredits(wrong.filter(({ seq }) => here.has(seq.toString()))).get(accountId) ?? [];
}

/** The credit links whose step is not the sum of the amounts since the version of the credit link before. */
const stepStatement = `
SELECT l.seq FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::numeric[]) AS l(seq, id, version, step)
  LEFT JOIN LATERAL (
    SELECT p.credits_version AS version FROM data.account_balance_audit p
     WHERE p.account_id = $1 AND p.deduction_id IS NULL AND p.account_seq IS NOT NULL AND p.credits_version IS NOT NULL
       AND (p.account_seq, p.id) < (l.seq, l.id) ORDER BY p.account_seq DESC, p.id DESC LIMIT 1) p ON true
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(c.amount), 0) AS due FROM data.account_balance_audit c
     WHERE c.account_id = $1 AND c.credits_version > coalesce(p.version, 0) AND c.credits_version <= l.version) d
 WHERE l.step IS DISTINCT FROM d.due`;

async function isForked(query: Query, accountId: string): Promise<boolean> {
  const [row] = await query<{ forked: boolean }>(
    `SELECT count(*) <> count(DISTINCT account_seq) AS forked FROM data.account_balance_audit WHERE account_id = $1 AND account_seq IS NOT NULL`,
    [accountId],
  );
  return row?.forked ?? false;
}

async function judgeUsageLinks(query: Query, accountId: string, links: readonly TrailLink[]): Promise<Problem[]> {
  const auditIds = links.flatMap((link) => (link.usageDiffers ? [link.id] : []));
  if (auditIds.length === 0) return [];
  const survey = { totalNanos: 0n, usageIds: [], auditIds };
  return (await judgeUsage(query, new Map([[accountId, survey]]))).get(accountId) ?? [];
}

/** Open links by the seq of the settled link that comes next after them. */
async function placeWaiting(
  query: Query,
  accountId: string,
  links: readonly TrailLink[],
  open: readonly OpenLink[],
): Promise<Map<string, WaitingLink[]>> {
  const seqs = open.flatMap(({ seq }) => (seq === null ? [] : [seq]));
  const placed = new Map<string, WaitingLink[]>();
  if (seqs.length === 0) return placed;
  const next = await query<{ seq: string; next: string | null }>(
    `SELECT s.seq, (SELECT a.account_seq FROM data.account_balance_audit a
                     WHERE a.account_id = $1 AND a.account_seq > s.seq ORDER BY a.account_seq LIMIT 1) AS next
       FROM unnest($2::bigint[]) AS s(seq)`,
    [accountId, seqs],
  );
  const nextOf = new Map(next.map((row) => [row.seq, row.next]));
  const shown = new Set(links.map(({ seq }) => seq));
  for (const link of open.toSorted((a, b) => ((a.seq ?? 0n) < (b.seq ?? 0n) ? -1 : 1))) {
    const at = nextOf.get(link.seq?.toString() ?? "");
    if (at && shown.has(at)) placed.set(at, [...(placed.get(at) ?? []), waitingOf(link)]);
  }
  return placed;
}

function waitingOf(link: OpenLink): WaitingLink {
  const textOf = (nanos: bigint | null) => (nanos === null ? null : formatUnits(nanos));
  return {
    seq: link.seq?.toString() ?? "",
    name: link.name,
    kind: link.kind,
    standing: link.standing,
    amount: formatUnits(link.amountNanos),
    balanceBefore: textOf(link.beforeNanos),
    balanceAfter: textOf(link.afterNanos),
    streamEntryId: link.entryId,
  };
}
