// What explains an account's balance at this moment: the real-time balance in Redis beside the settled one in Postgres, and everything
// that makes the difference, to the nano. Read in the order of the equation (equation.ts): the hash first, then the stream, then one
// snapshot; so it holds while traffic flows. Cheap enough to be asked every second for one account: it changes nothing, reads one stream
// from its proven mark on, and asks only about the account's own entries.
import { type AccountCredits, findAccount } from "@drawdown/db";
import { BALANCE_FIELDS, type Balance, parseBalance } from "./balance.ts";
import type { Billing } from "./billing.ts";
import { type Books, readBooks } from "./equation.ts";
import { BillingError } from "./errors.ts";
import { randomOf } from "./hold.ts";
import { balanceKey, epochKey, holdKey, holdsKey, shardOf } from "./keys.ts";
import { formatUnits, parseUnits } from "./money.ts";
import { OpenEntries, type OpenLink, type OpenStanding, readUnsettled } from "./open-entries.ts";
import { fromBooks, inTransaction, type Query } from "./postgres.ts";
import type { Reading } from "./reading.ts";
import { redisFailure } from "./redis.ts";

/** A hold that nobody has ended. Amounts are decimal text of units. */
export type OpenHold = {
  holdId: string;
  amount: string;
  openedAt: Date | null;
  expiresAt: Date;
  /** Over, and released with the account's next request or within a sweep. */
  expired: boolean;
  /** By a gateway of ours, which gives the service itself. */
  served: boolean;
  virtualKey: string;
  requestId: string | null;
  provider: string | null;
  model: string | null;
};

type CountAndSum = { count: number; amount: string };

/** Amounts are decimal text of units with 9 decimals, signed; 64-bit numbers are text. Null is unknown. */
export type AccountStanding = {
  accountId: string;
  ownerId: string;
  type: "user" | "tenant";
  currency: string;
  shard: number;
  at: Date;
  /** Null while the account is not loaded into Redis: its next request loads it. */
  realTime: {
    balance: string;
    held: string;
    available: string;
    creditLimit: string;
    overdue: string;
    debits: string;
    seq: string;
    creditsVersion: string;
    status: string;
  } | null;
  settled: {
    balance: string;
    totalCredits: string;
    totalDebits: string;
    creditLimit: string;
    overdue: string;
    creditsVersion: string;
    status: string;
    /** Of the newest link in the books; "0" before the first. */
    seq: string;
  };
  /** Why `realTime.balance` is not `settled.balance`; null while not loaded. */
  difference: {
    /** realTime.balance − settled.balance = −inFlight.amount − creditsNotApplied.amount + settledSince + unexplained */
    amount: string;
    /** Own deductions that are not settled. Count and places are null when too many entries follow the mark to be looked through. */
    inFlight: { count: number | null; amount: string; places: Partial<Record<OpenStanding, CountAndSum>> | null };
    /** Credits, limits and statuses that Redis does not have yet. */
    creditsNotApplied: CountAndSum;
    /** Settled after Redis was read, a moment ago. */
    settledSince: string;
    /** What nothing explains: reconcile names it. Null when the places are not known, or Redis was just restarted. */
    unexplained: string | null;
  } | null;
  /** Null while not loaded. The list has the first `HOLDS_LISTED` to expire. */
  holds: (CountAndSum & { list: OpenHold[] }) | null;
};

const ENTRIES_LOOKED_THROUGH = 5_000;
const HOLDS_LISTED = 100;

/** By the account's or its owner's id; undefined when there is none. Throws what is unreachable. */
export async function readAccountStanding(billing: Billing, id: string): Promise<AccountStanding | undefined> {
  const account = await fromBooks(findAccount(billing.db, id));
  if (!account) return undefined;
  const shard = shardOf(account.id, billing.numShards);
  const epoch = () => billing.ask((redis) => redis.get(epochKey(shard)));
  const before = await epoch();
  const { balance, holds } = await readRedis(billing, account, shard);
  const open = new OpenEntries(billing, { accountId: account.id, atMost: ENTRIES_LOOKED_THROUGH });
  if (balance) await open.advance([shard]);
  const reading: Reading = { place: { shard, type: account.type, ownerId: account.ownerId }, hash: hashOf(balance) };
  const snapshot = await inTransaction(billing.db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", async (query) => {
    const [books] = await readBooks(query, [reading]);
    const links = balance && open.complete ? await readUnsettled(query, open, [shard], [account.id]) : undefined;
    return books && { books, links, unapplied: await countUnapplied(query, account.id, balance) };
  });
  if (!snapshot) return undefined;
  const steady = balance !== undefined && (await epoch()) === before;
  return {
    accountId: account.id,
    ownerId: account.ownerId,
    type: account.type,
    currency: account.currency,
    shard,
    at: new Date(),
    realTime: balance ? realTimeOf(balance) : null,
    settled: settledOf(snapshot.books),
    difference: balance ? differenceOf(balance, snapshot, steady) : null,
    holds: balance ? await describeHolds(billing, shard, holds) : null,
  };
}

type Snapshot = { books: Books; links: OpenLink[] | undefined; unapplied: number };

/** The balance and the holds that are in it, of one moment. */
async function readRedis(billing: Billing, account: AccountCredits, shard: number) {
  const replies = await billing.ask((redis) =>
    redis
      .multi()
      .hmget(balanceKey(shard, account.type, account.ownerId), ...BALANCE_FIELDS)
      .hgetall(holdsKey(shard, account.id))
      .exec(),
  );
  const [fields, holds] = (replies ?? []).map(([error, reply]) => {
    if (error) throw redisFailure(error);
    return reply;
  });
  if (!Array.isArray(fields)) throw new BillingError("redis_unavailable", "The balance store cannot be reached.");
  return {
    balance: parseBalance(fields as (string | null)[]),
    holds: Object.entries((holds ?? {}) as Record<string, string>),
  };
}

function hashOf(balance: Balance | undefined): Reading["hash"] {
  if (!balance) return { state: "absent" };
  const { creditsVersion: version, ...rest } = balance;
  return { state: "loaded", raw: [], ...rest, version };
}

async function countUnapplied(query: Query, accountId: string, balance: Balance | undefined): Promise<number> {
  if (!balance) return 0;
  const [row] = await query<{ count: number }>(
    "SELECT count(*)::int AS count FROM data.account_balance_audit WHERE account_id = $1 AND credits_version > $2",
    [accountId, balance.creditsVersion.toString()],
  );
  return row?.count ?? 0;
}

function realTimeOf(balance: Balance): AccountStanding["realTime"] {
  return {
    balance: formatUnits(balance.balanceNanos),
    held: formatUnits(balance.heldNanos),
    available: formatUnits(balance.availableNanos),
    creditLimit: formatUnits(balance.limitNanos),
    overdue: formatUnits(balance.overdueNanos),
    debits: formatUnits(balance.debitsNanos),
    seq: balance.seq.toString(),
    creditsVersion: balance.creditsVersion.toString(),
    status: balance.status,
  };
}

function settledOf(books: Books): AccountStanding["settled"] {
  const balanceNanos = books.totalCreditsNanos - books.totalDebitsNanos;
  const short = -(balanceNanos + books.limitNanos);
  return {
    balance: formatUnits(balanceNanos),
    totalCredits: formatUnits(books.totalCreditsNanos),
    totalDebits: formatUnits(books.totalDebitsNanos),
    creditLimit: formatUnits(books.limitNanos),
    overdue: formatUnits(short > 0n ? short : 0n),
    creditsVersion: books.version.toString(),
    status: books.status,
    seq: books.newestSeq.toString(),
  };
}

function differenceOf(
  { balanceNanos, debitsNanos, seq }: Balance,
  { books, links, unapplied }: Snapshot,
  steady: boolean,
): AccountStanding["difference"] {
  const amountNanos = balanceNanos - (books.totalCreditsNanos - books.totalDebitsNanos);
  const own = links?.filter(
    (link) => link.kind === "usage" && link.seq !== null && link.seq <= seq && link.standing !== "written_off",
  );
  // Where they cannot be looked through, the equation says their sum: what Redis drew and the books have not.
  const inFlightNanos = own ? sum(own) : debitsNanos - (books.totalDebitsNanos - books.settledAfterNanos);
  const explained = -inFlightNanos - books.creditedAfterNanos + books.settledAfterNanos;
  return {
    amount: formatUnits(amountNanos),
    inFlight: {
      count: own?.length ?? null,
      amount: formatUnits(inFlightNanos),
      places: own ? countPlaces(own) : null,
    },
    creditsNotApplied: { count: unapplied, amount: formatUnits(books.creditedAfterNanos) },
    settledSince: formatUnits(books.settledAfterNanos),
    unexplained: own && steady ? formatUnits(amountNanos - explained) : null,
  };
}

/** Of what was drawn, so above zero. */
function sum(links: readonly OpenLink[]): bigint {
  return links.reduce((nanos, { amountNanos }) => nanos - amountNanos, 0n);
}

function countPlaces(links: readonly OpenLink[]): Partial<Record<OpenStanding, CountAndSum>> {
  const groups = [...Map.groupBy(links, ({ standing }) => standing)];
  return Object.fromEntries(
    groups.map(([standing, of]) => [standing, { count: of.length, amount: formatUnits(sum(of)) }]),
  );
}

/** Each is `amount expires_ms served virtual_key`; an expired one that is still to be noted has the amount 0. */
async function describeHolds(billing: Billing, shard: number, all: readonly [string, string][]) {
  const open = all.map(([holdId, text]) => {
    const [amount = "0", expires = "0", served, ...key] = text.split(" ");
    return { holdId, amount: formatUnits(BigInt(amount)), expiresMs: Number(expires), served, key: key.join(" ") };
  });
  const total = open.reduce((nanos, { amount }) => nanos + parseUnits(amount), 0n);
  const listed = open.toSorted((a, b) => a.expiresMs - b.expiresMs).slice(0, HOLDS_LISTED);
  const list = await Promise.all(
    listed.map(async ({ holdId, amount, expiresMs, served, key }): Promise<OpenHold> => {
      const record = holdKey(shard, randomOf(holdId) ?? "");
      const fields = await billing.ask((redis) => redis.hmget(record, "opened", "request_id", "provider", "model"));
      const [opened, requestId = null, provider = null, model = null] = fields;
      return {
        holdId,
        amount,
        openedAt: opened ? new Date(Number(opened)) : null,
        expiresAt: new Date(expiresMs),
        expired: expiresMs <= Date.now(),
        served: served === "1",
        virtualKey: key,
        requestId,
        provider,
        model,
      };
    }),
  );
  return { count: open.length, amount: formatUnits(total), list };
}
