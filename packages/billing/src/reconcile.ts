// Reconciling: the equation of every loaded account, and every entry that is acked and not in the books, with a name for what is
// wrong. It changes nothing but the proven marks, which it brings up to date first. Repair is another act (repair.ts).
import type { Billing } from "./billing.ts";
import { push } from "./breaks.ts";
import { type ChainReport, judgeChains } from "./chain.ts";
import { type Balanced, type Books, balance, type Figures, readBooks } from "./equation.ts";
import { shardOf, streamKey } from "./keys.ts";
import { formatUnits } from "./money.ts";
import { OpenEntries, type OpenLink, type OpenStanding, type UnreadableOpen } from "./open-entries.ts";
import type { Query } from "./postgres.ts";
import { proveShard } from "./proven.ts";
import { type Comparison, compare, type Place, placeOf, type Reading, scanPlaces } from "./reading.ts";
import type { AccountType } from "./stream.ts";

/**
 * `redis_lost_state`: Redis is behind the books, or entries that it wrote are nowhere. `foreign_write`: something else than our scripts
 * wrote the account. `unaccounted_entry`: acked and not in the books, or written by an older worker that moved no balance. `fork`: a
 * seq was given twice. `postgres_went_back`: Redis has credits that the books do not. `unknown`: the books contradict themselves.
 */
export type DriftClass =
  | "redis_lost_state"
  | "foreign_write"
  | "unaccounted_entry"
  | "fork"
  | "postgres_went_back"
  | "unknown";

export type UnaccountedEntry = {
  /** Null for a row of an older worker whose entry is gone. */
  streamKey: string | null;
  entryId: string | null;
  deductionId: string | null;
  amount: string;
  standing: "unaccounted" | "half_settled";
};

export type Finding = {
  class: DriftClass;
  /** Null when the entry or key names no account that is known. */
  accountId: string | null;
  ownerId: string | null;
  type: AccountType | null;
  shard: number;
  message: string;
  /** Null where there is no equation to look at: an entry, a key that is no account. */
  figures: Figures | null;
  /** Of `unaccounted_entry`: the first ones, and how many there are. */
  entries: UnaccountedEntry[];
  entryCount: number;
};

export type Reconciliation = {
  ok: boolean;
  /** Loaded accounts compared. */
  accounts: number;
  /** Open entries by where they are; amounts are signed. */
  open: Partial<Record<OpenStanding, { entries: number; amount: string }>>;
  findings: Finding[];
  /** Findings beyond those listed. */
  left: number;
};

export type ReconcileOptions = {
  /** Only this account (`account_balance.id` and its owner). */
  account?: { id: string; ownerId: string; type: AccountType };
  maxFindings?: number;
  signal?: AbortSignal;
};

const NO_PLACES: readonly Place[] = [];
const PLACES_AT_ONCE = 10_000;
const PROOFS_AT_ONCE = 4;
const MAX_FINDINGS = 1_000;
const MAX_ENTRIES = 100;
const HALF_SETTLED_MAX = 10_000;

/** Compares every loaded account with the books. Exact while traffic flows. Throws `BillingError`: what is unreachable, `fenced`. */
export async function reconcile(billing: Billing, options: ReconcileOptions = {}): Promise<Reconciliation> {
  const { account, signal } = options;
  const only = account && placeOf(account, billing.numShards);
  const shards = only ? [only.shard] : Array.from({ length: billing.numShards }, (_, shard) => shard);
  for (let at = 0; at < shards.length; at += PROOFS_AT_ONCE)
    await Promise.all(shards.slice(at, at + PROOFS_AT_ONCE).map((shard) => proveShard(billing, shard)));
  const open = new OpenEntries(billing);
  const found = new Found(options.maxFindings ?? MAX_FINDINGS);
  const { places, strange } = only ? { places: [only], strange: [] } : await scanPlaces(billing);
  for (const key of strange) found.add(strangeKey(key));
  let accounts = 0;
  for (const chunk of chunksByShard(places)) {
    if (signal?.aborted) break;
    const judge = (comparison: Comparison<Place>) => judgeAccounts(comparison, billing.numShards);
    const result = await compare(billing, open, chunk.places, chunk.shards, judge);
    accounts += result.accounts;
    result.findings.forEach((one) => found.add(one));
  }
  const entries = await compare(billing, open, NO_PLACES, shards, (comparison) =>
    judgeEntries(comparison, open, shards, billing.numShards, account?.id),
  );
  entries.findings.forEach((one) => found.add(one));
  return {
    ok: found.count === 0,
    accounts,
    open: entries.open,
    findings: found.kept,
    left: found.count - found.kept.length,
  };
}

class Found {
  readonly kept: Finding[] = [];
  readonly #room: number;
  count = 0;

  constructor(room: number) {
    this.#room = room;
  }

  add(finding: Finding): void {
    this.count += 1;
    if (this.kept.length < this.#room) this.kept.push(finding);
  }
}

/** Whole shards together, so that each stream is read for one comparison, or few. */
function chunksByShard(places: readonly Place[]): { places: Place[]; shards: number[] }[] {
  const chunks: { places: Place[]; shards: number[] }[] = [];
  for (const [shard, inShard] of Map.groupBy(places, (place) => place.shard)) {
    const last = chunks.at(-1);
    if (last && last.places.length + inShard.length <= PLACES_AT_ONCE) {
      last.places.push(...inShard);
      last.shards.push(shard);
    } else chunks.push({ places: inShard, shards: [shard] });
  }
  return chunks;
}

/** An account that does not agree with its books, or may not. */
type Drifted = Reading & { books: Books; balanced: Balanced | undefined; settings: string | undefined };

async function judgeAccounts(
  { query, readings, unsettled, behind }: Comparison<Place>,
  numShards: number,
): Promise<{ accounts: number; findings: Finding[] }> {
  const there = readings.filter(({ hash }) => hash.state !== "absent");
  const books = await readBooks(query, there);
  const links = await unsettled(books.flatMap((one) => one?.accountId ?? []));
  const byAccount = Map.groupBy(links, ({ accountId }) => accountId);
  const findings: Finding[] = [];
  const drifted: Drifted[] = [];
  const ahead: Drifted[] = [];
  there.forEach(({ place, hash }, i) => {
    const account = books[i];
    if (account === undefined)
      return findings.push(findingOf("unknown", place, null, "Redis has an account that the books do not have"));
    if (shardOf(account.accountId, numShards) !== place.shard)
      return findings.push(
        findingOf("foreign_write", place, account.accountId, "this account belongs to another shard"),
      );
    const balanced =
      hash.state === "loaded" ? balance(hash, account, byAccount.get(account.accountId) ?? []) : undefined;
    const one = { place, hash, books: account, balanced, settings: differentSettings(hash, account) };
    if (!balanced?.holds || one.settings !== undefined) drifted.push(one);
    else if (hash.state === "loaded" && account.newestSeq > hash.seq) ahead.push(one);
    return undefined;
  });
  const lost = await behind([...ahead, ...drifted].map((one) => ({ place: one.place, seq: one.books.newestSeq })));
  drifted.push(...ahead.filter(({ place }) => lost.has(place)));
  const subjects = drifted.map(({ place, hash, books: { accountId } }) => ({
    ...place,
    place,
    hash,
    accountId,
    newestSeq: 0n,
  }));
  const reports = subjects.length === 0 ? [] : await judgeChains({ query, behind }, subjects, links);
  drifted.forEach((one, i) => {
    const [driftClass, why] = classify(one, reports[i], lost.has(one.place));
    const { place, books: account, balanced } = one;
    findings.push({ ...findingOf(driftClass, place, account.accountId, why), figures: balanced?.figures ?? null });
  });
  return { accounts: there.length, findings };
}

/** At the same version both stores have the same limit, status and currency. */
export function differentSettings(hash: Reading["hash"], books: Books): string | undefined {
  if (hash.state !== "loaded" || hash.version !== books.version) return undefined;
  if (hash.limitNanos !== books.limitNanos)
    return `the limit in Redis is ${formatUnits(hash.limitNanos)}, in the books ${formatUnits(books.limitNanos)}`;
  if (hash.status !== books.status) return `the status in Redis is ${hash.status}, in the books ${books.status}`;
  if (hash.currency !== books.currency)
    return `the currency in Redis is ${hash.currency}, in the books ${books.currency}`;
  return undefined;
}

/** The most specific cause that the chain shows. What a chain without a fault cannot explain was written by somebody else. */
export function classify(
  drifted: Omit<Drifted, "place">,
  report: ChainReport | undefined,
  lost: boolean,
): [DriftClass, string] {
  const { hash, books, settings, balanced } = drifted;
  if (hash.state !== "loaded") return ["foreign_write", "what Redis has under the account's key is no account"];
  if (hash.version > books.version)
    return ["postgres_went_back", `Redis has credits version ${hash.version}, the books have ${books.version}`];
  if (lost) return ["redis_lost_state", `Redis is at seq ${hash.seq}, the books have link ${books.newestSeq}`];
  if (balanced?.holds && settings !== undefined) return ["foreign_write", settings];
  const problems = report?.problems ?? [];
  const first = (...kinds: string[]) => problems.find(({ kind }) => kinds.includes(kind))?.message;
  const contradiction = first("total_credits", "total_debits", "usage_row");
  if (contradiction !== undefined) return ["unknown", `the books contradict themselves: ${contradiction}`];
  const end = first("redis_end");
  if (end !== undefined) return ["foreign_write", end];
  const fork = first("fork") ?? unrepaired(report, "fork");
  if (fork !== undefined) return ["fork", fork];
  const half = first("half_settled");
  if (half !== undefined) return ["unaccounted_entry", half];
  const gap = first("gap") ?? unrepaired(report, "gap");
  if (gap !== undefined) return ["redis_lost_state", gap];
  const foreign = first("mismatch", "first_link", "wrong_step");
  return ["foreign_write", foreign ?? "every link is explained, but Redis has other numbers than they add up to"];
}

/** A break that was accepted before any repair still explains why the numbers differ. */
function unrepaired(report: ChainReport | undefined, kind: "fork" | "gap"): string | undefined {
  const found = report?.accepted.find(
    (one) => one.kind === kind && !report.repairs.some(({ seq }) => BigInt(seq) > BigInt(one.toSeq)),
  );
  return found && `the accepted ${kind} of seqs ${found.fromSeq} to ${found.toSeq} was not repaired yet`;
}

type Entries = { findings: Finding[]; open: Reconciliation["open"] };

/** Names every open entry that nobody is going to settle by itself, and counts the others by where they are. */
async function judgeEntries(
  { query, unsettled }: Comparison<Place>,
  open: OpenEntries,
  shards: readonly number[],
  numShards: number,
  accountId: string | undefined,
): Promise<Entries> {
  const all = await unsettled(accountId === undefined ? [] : [accountId], { alsoOthers: accountId === undefined });
  const unreadable = accountId === undefined ? open.unreadableOf(shards) : [];
  // Read as acked and in no books, it may have become a dead letter since: a replay that fails does that.
  const acked = all.flatMap((link) => {
    const { standing } = link;
    return standing === "unaccounted" || standing === "half_settled" ? [{ ...link, standing }] : [];
  });
  const kept = await findKept(query, [...acked, ...unreadable]);
  const byAccount = new Map<string, UnaccountedEntry[]>();
  for (const link of acked) {
    const { shard, entryId, kind, name, standing } = link;
    if (kept.has(`${streamKey(shard)}/${entryId}`)) continue;
    const deductionId = kind === "usage" ? name : null;
    const amount = formatUnits(link.amountNanos);
    push(byAccount, link.accountId, { streamKey: streamKey(shard), entryId, deductionId, amount, standing });
  }
  const known = new Set(all.map(({ name }) => name));
  for (const row of await readHalfSettled(query, accountId)) {
    if (known.has(row.deduction_id)) continue; // on its way, or named by its entry
    const entry = { streamKey: null, entryId: null, deductionId: row.deduction_id, amount: row.amount };
    push(byAccount, row.account_id, { ...entry, standing: "half_settled" });
  }
  const findings = [...byAccount].map(([id, entries]) => entriesFinding(id, entries, numShards));
  for (const { shard, entryId } of unreadable)
    if (!kept.has(`${streamKey(shard)}/${entryId}`)) findings.push(unreadableFinding(shard, entryId));
  return { findings, open: { ...countByStanding(all), ...(await countLetters(query, accountId)) } };
}

/** Which of these entries a dead letter keeps, as `stream/id`. */
async function findKept(query: Query, entries: readonly UnreadableOpen[]): Promise<Set<string>> {
  if (entries.length === 0) return new Set();
  const rows = await query<{ place: string }>(
    `SELECT d.stream_key || '/' || d.stream_entry_id AS place FROM unnest($1::text[], $2::text[]) AS e(stream_key, entry_id)
       JOIN data.dead_letter d ON d.stream_key = e.stream_key AND d.stream_entry_id = e.entry_id AND d.state <> 'replayed'`,
    [entries.map(({ shard }) => streamKey(shard)), entries.map(({ entryId }) => entryId)],
  );
  return new Set(rows.map(({ place }) => place));
}

/** Dead letters of our own deductions; their entries may long have left the stream. */
async function countLetters(query: Query, accountId: string | undefined): Promise<Reconciliation["open"]> {
  const [row] = await query<{ entries: string; amount: string }>(
    `SELECT count(*) AS entries, coalesce(-sum(cost), 0)::numeric(38,9) AS amount FROM data.dead_letter
      WHERE state <> 'replayed' AND account_seq IS NOT NULL AND cost IS NOT NULL AND ($1::text IS NULL OR account_id = $1)`,
    [accountId ?? null],
  );
  const entries = Number(row?.entries ?? 0);
  return entries === 0 ? {} : { dead_lettered: { entries, amount: row?.amount ?? "0" } };
}

/** Empty while no older worker runs, and its index holds these rows alone. */
async function readHalfSettled(query: Query, accountId: string | undefined) {
  return await query<{ account_id: string; deduction_id: string; amount: string }>(
    `SELECT account_id, deduction_id, -cost AS amount FROM data.usage_log
      WHERE settled_at IS NULL AND ($1::uuid IS NULL OR account_id = $1) ORDER BY id LIMIT ${HALF_SETTLED_MAX}`,
    [accountId ?? null],
  );
}

function entriesFinding(accountId: string, entries: readonly UnaccountedEntry[], numShards: number): Finding {
  const half = entries.filter(({ standing }) => standing === "half_settled").length;
  const parts = [
    half < entries.length ? `${entries.length - half} acked and not in the books` : undefined,
    half > 0 ? `${half} written by an older worker that moved no balance` : undefined,
  ];
  return {
    class: "unaccounted_entry",
    accountId,
    ownerId: null,
    type: null,
    shard: shardOf(accountId, numShards),
    message: `entries that replay has to settle: ${parts.filter((part) => part !== undefined).join(", ")}`,
    figures: null,
    entries: entries.slice(0, MAX_ENTRIES),
    entryCount: entries.length,
  };
}

function unreadableFinding(shard: number, entryId: string): Finding {
  const entry = {
    streamKey: streamKey(shard),
    entryId,
    deductionId: null,
    amount: "0.000000000",
    standing: "unaccounted" as const,
  };
  const message = "an acked entry cannot be read, and no dead letter keeps it";
  return { ...findingOf("unaccounted_entry", { shard }, null, message), entries: [entry], entryCount: 1 };
}

function strangeKey({ shard, key }: { shard: number; key: string }): Finding {
  return findingOf("foreign_write", { shard }, null, `the key ${key} is no account's`);
}

function findingOf(
  driftClass: DriftClass,
  place: Pick<Place, "shard"> & Partial<Place>,
  accountId: string | null,
  message: string,
): Finding {
  const { shard, ownerId = null, type = null } = place;
  return { class: driftClass, accountId, ownerId, type, shard, message, figures: null, entries: [], entryCount: 0 };
}

function countByStanding(all: readonly OpenLink[]): Reconciliation["open"] {
  const groups = Map.groupBy(
    all.filter(({ standing }) => standing !== "dead_lettered"),
    ({ standing }) => standing,
  );
  const sum = (links: readonly OpenLink[]) => links.reduce((nanos, { amountNanos }) => nanos + amountNanos, 0n);
  return Object.fromEntries(
    [...groups].map(([standing, links]) => [standing, { entries: links.length, amount: formatUnits(sum(links)) }]),
  );
}
