// What a repair would do, computed from the same comparison as reconcile. The account is set to what the books and the open entries add
// up to, by one link after the last one known. Never in the customer's favour unless every link up to there is explained.
import type { Billing } from "./billing.ts";
import { type ChainReport, judgeChains } from "./chain.ts";
import { type Books, balance, type Figures, readBooks, sumUnsettled } from "./equation.ts";
import { BillingError } from "./errors.ts";
import { formatUnits, parseUnits } from "./money.ts";
import { OpenEntries, type OpenLink } from "./open-entries.ts";
import type { Query } from "./postgres.ts";
import { type Comparison, compare, type Hash, type Place, placeOf } from "./reading.ts";
import { classify, type DriftClass, differentSettings } from "./reconcile.ts";
import type { AccountRef } from "./stream.ts";

/** The link that the repair appends; amounts in units. `gain` is what the customer has more afterwards. */
export type PlannedLink = {
  seq: string;
  balanceBefore: string;
  balanceAfter: string;
  amount: string;
  debits: string;
  gain: string;
};

export type RepairPlan = {
  accountId: string;
  /** `nothing`: the account agrees with its books. `not_loaded`: it is loaded from the books when it is used next. */
  outcome: "repairable" | "nothing" | "not_loaded" | "refused";
  message: string;
  class: DriftClass | null;
  figures: Figures | null;
  link: PlannedLink | null;
  /** Dead letters that the repair writes off. */
  writeOff: WriteOff[];
};

export type WriteOff = { deadLetterId: string; deductionId: string; seq: string; cost: string };

/** What the script is given besides the place. */
export type Target = {
  raw: string[];
  lastSeq: bigint;
  beforeNanos: bigint;
  balanceNanos: bigint;
  debitsNanos: bigint;
  version: bigint;
  books: Books;
};

export type Planned = { plan: RepairPlan; target: Target | undefined };

/** Looks, and says what a repair would do. Changes nothing. Throws what is unreachable. */
export async function planRepair(
  billing: Billing,
  account: AccountRef,
  options: { writeOff?: readonly string[] } = {},
): Promise<RepairPlan> {
  const letters = await readWriteOffs(billing.query, account.id, options.writeOff ?? []);
  return (await lookForRepair(billing, account, letters)).plan;
}

/** The plan with what the script needs. `letters`: counted as written off although they are not yet. */
export async function lookForRepair(
  billing: Billing,
  account: AccountRef,
  letters: readonly WriteOff[],
): Promise<Planned> {
  const place = placeOf(account, billing.numShards);
  const open = new OpenEntries(billing);
  const planned = await compare(billing, open, [place], [place.shard], (comparison) =>
    plan(comparison, account, letters),
  );
  return planned;
}

async function plan(
  { query, readings, unsettled, behind }: Comparison<Place>,
  account: AccountRef,
  letters: readonly WriteOff[],
): Promise<Planned> {
  const [reading] = readings;
  const [books] = await readBooks(query, readings);
  const say = (outcome: RepairPlan["outcome"], message: string, more: Partial<RepairPlan> = {}): Planned => ({
    plan: {
      accountId: account.id,
      outcome,
      message,
      class: null,
      figures: null,
      link: null,
      writeOff: [...letters],
      ...more,
    },
    target: undefined,
  });
  if (!reading || !books || books.accountId !== account.id) return say("refused", "the books do not have this account");
  const { hash, place } = reading;
  if (hash.state === "absent")
    return say("not_loaded", "the account is not in Redis: it is loaded from the books when it is used next");
  if (hash.state === "unreadable" && hash.raw.length === 0)
    return say("refused", "the account's key is no hash: delete it, and the account is loaded from the books");
  const wrong = new Set(letters.map(({ deductionId, seq }) => `${deductionId}/${seq}`));
  const links = (await unsettled([account.id])).map((link) =>
    wrong.has(`${link.name}/${link.seq}`) ? { ...link, standing: "written_off" as const } : link,
  );
  const balanced = hash.state === "loaded" ? balance(hash, books, links) : undefined;
  const lost = (await behind([{ place, seq: books.newestSeq }])).has(place);
  const settings = differentSettings(hash, books);
  const wentBack = hash.state === "loaded" && hash.version > books.version;
  if (balanced?.holds && settings === undefined && !lost && !wentBack)
    return say("nothing", "the account agrees with its books", { figures: balanced.figures });

  // Behind the books there is no telling where Redis would stand: the whole chain is judged, without its end.
  const judged: Hash = lost || hash.state === "unreadable" ? { state: "absent" } : hash;
  const subject = { ...place, place, accountId: account.id, newestSeq: books.newestSeq };
  const [report] = await judgeChains({ query, behind }, [{ ...subject, hash: judged }], links);
  const [driftClass, why] = classify({ hash, books, balanced, settings }, report, lost);
  const target = await targetOf(query, hash, books, links);
  const found = { class: driftClass, figures: balanced?.figures ?? null };
  const link = linkOf(hash, target);
  const refusal = refusalOf(link, report);
  if (refusal !== undefined) return say("refused", refusal, { ...found, link });
  return { plan: { ...say("repairable", sentence(link, why)).plan, ...found, link }, target };
}

async function targetOf(query: Query, hash: Hash, books: Books, links: readonly OpenLink[]): Promise<Target> {
  const loaded = hash.state === "loaded" ? hash : undefined;
  const seqs = [loaded?.seq ?? 0n, books.newestSeq, ...links.map(({ seq }) => seq ?? 0n)];
  const lastSeq = seqs.reduce((max, seq) => (seq > max ? seq : max));
  const afters = [
    ...(await readAfters(query, books.accountId, lastSeq)),
    ...links.flatMap(({ seq, afterNanos }) => (seq === lastSeq && afterNanos !== null ? [afterNanos] : [])),
  ];
  // After a fork there are two ends: the branch that Redis goes on from, else the one that was settled last.
  const own = afters.find((after) => after === loaded?.balanceNanos);
  const debitsNanos = books.totalDebitsNanos + sumUnsettled(links);
  const openVersion = links.reduce(
    (max, link) => (link.version !== null && link.version > max ? link.version : max),
    0n,
  );
  const { version, creditsNanos } = await readCredits(query, books, loaded?.version ?? books.version, openVersion);
  return {
    raw: hash.state === "absent" ? [] : hash.raw.map((text) => text ?? ""),
    lastSeq,
    beforeNanos: own ?? afters.at(-1) ?? loaded?.balanceNanos ?? 0n,
    balanceNanos: creditsNanos - debitsNanos,
    debitsNanos,
    version,
    books,
  };
}

/**
 * The credits version to go on from, with the credits up to it: Redis' own, so that a credit that waits is applied by a link of its own;
 * or the newest that has a link already, which Redis has forgotten; never one that the books do not have.
 */
async function readCredits(
  query: Query,
  books: Books,
  inRedis: bigint,
  inStream: bigint,
): Promise<{ version: bigint; creditsNanos: bigint }> {
  const [row] = await query<{ version: string; after: string }>(
    `SELECT v.version, (SELECT coalesce(sum(amount), 0) FROM data.account_balance_audit
              WHERE account_id = $1 AND credits_version > v.version) AS after
       FROM (SELECT least($3::bigint, greatest($2::bigint, (SELECT max(credits_version) FROM data.account_balance_audit
              WHERE account_id = $1 AND credits_version IS NOT NULL AND account_seq IS NOT NULL))) AS version) v`,
    [books.accountId, (inRedis > inStream ? inRedis : inStream).toString(), books.version.toString()],
  );
  if (!row) throw new TypeError("a row that is always there is not");
  return { version: BigInt(row.version), creditsNanos: books.totalCreditsNanos - parseUnits(row.after) };
}

async function readAfters(query: Query, accountId: string, seq: bigint): Promise<bigint[]> {
  const rows = await query<{ after: string }>(
    `SELECT balance_after AS after FROM data.account_balance_audit
      WHERE account_id = $1 AND account_seq = $2 AND balance_after IS NOT NULL ORDER BY id`,
    [accountId, seq.toString()],
  );
  return rows.map(({ after }) => parseUnits(after));
}

function linkOf(hash: Hash, target: Target): PlannedLink {
  const { beforeNanos, balanceNanos } = target;
  const nowNanos = hash.state === "loaded" ? hash.balanceNanos : beforeNanos;
  return {
    seq: (target.lastSeq + 1n).toString(),
    balanceBefore: formatUnits(beforeNanos),
    balanceAfter: formatUnits(balanceNanos),
    amount: formatUnits(balanceNanos - beforeNanos),
    debits: formatUnits(target.debitsNanos),
    gain: formatUnits(balanceNanos - nowNanos),
  };
}

/** Why this must not be done; undefined when it may. */
function refusalOf(link: PlannedLink, report: ChainReport | undefined): string | undefined {
  const problems = report?.problems ?? [];
  const first = (...kinds: string[]) => problems.find(({ kind }) => kinds.includes(kind))?.message;
  const contradiction = first("total_credits", "total_debits", "usage_row");
  if (contradiction !== undefined) return `the books contradict themselves, put them right first: ${contradiction}`;
  const missing = first("gap", "half_settled");
  if (link.gain.startsWith("-") || /^0\.0+$/.test(link.gain) || missing === undefined) return undefined;
  return (
    `this would give the customer ${link.gain}, and the books do not explain it: ${missing}. ` +
    "Replay what is unaccounted; what is gone for ever, post as an adjustment or leave out, and accept the gap."
  );
}

function sentence({ seq, balanceBefore, balanceAfter, gain }: PlannedLink, why: string): string {
  return `${why}; link ${seq} takes the chain from ${balanceBefore} to ${balanceAfter}, the customer's balance changes by ${gain}`;
}

/**
 * Dead letters of this account's own deductions that are in no books, with their rows locked when a transaction asks for it. Throws
 * `invalid_request` when one of them is none.
 */
export async function readWriteOffs(
  query: Query,
  accountId: string,
  ids: readonly string[],
  options: { lock: boolean } = { lock: false },
): Promise<WriteOff[]> {
  const wanted = [...new Set(ids)];
  if (wanted.length === 0) return [];
  const numbers = wanted.filter((id) => /^\d{1,18}$/.test(id));
  const rows = await query<WriteOff>(
    `SELECT d.id AS "deadLetterId", d.deduction_id AS "deductionId", d.account_seq::text AS seq, d.cost::numeric(28,9)::text AS cost
       FROM data.dead_letter d
      WHERE d.id = ANY($2::bigint[]) AND d.account_id = $1::text AND d.state <> 'replayed' AND d.deduction_id IS NOT NULL
        AND d.account_seq IS NOT NULL AND d.cost IS NOT NULL AND coalesce(d.fields->>'kind', '') = ''
        AND NOT EXISTS (SELECT FROM data.usage_log u WHERE u.deduction_id = d.deduction_id AND u.account_id::text = d.account_id
              AND u.account_seq = d.account_seq AND u.cost = d.cost AND u.settled_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM data.account_balance b WHERE b.id = $1::text::uuid AND d.account_seq <= b.closed_seq)
      ORDER BY d.id ${options.lock ? "FOR UPDATE OF d" : ""}`,
    [accountId, numbers],
  );
  const missing = wanted.find((id) => !rows.some((row) => row.deadLetterId === id));
  if (missing !== undefined)
    throw new BillingError(
      "invalid_request",
      `Dead letter ${missing} is no deduction of this account that could be written off.`,
    );
  return rows;
}
