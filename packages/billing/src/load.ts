// Loading an account that is not in Redis, exactly, while everything goes on: what Postgres has settled, plus what the stream
// and the dead letters hold that is not settled. The script that sets it acts only if nothing of this account moved since we
// looked, so two gateways loading at once, a charge, a top-up or a hand-made DEL in between end in one truth.
import { openAlert } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { applyCredit } from "./credit.ts";
import { BillingError } from "./errors.ts";
import { balanceKey, epochKey, holdsKey, provenKey, shardOf, streamKey } from "./keys.ts";
import { parseUnits } from "./money.ts";
import { inTransaction } from "./postgres.ts";
import { readMark, readUnaccountedIds } from "./proven.ts";
import { loadScript, redisFailure, replyArray, replyText, runScript } from "./redis.ts";
import { tryDecode } from "./standing.ts";
import type { AccountRef, Entry } from "./stream.ts";

const script = loadScript("./draw.lua", "./load.lua");
const SCAN_PAGE = 1_000;
const MAX_TRIES = 20;

/** One link as far as the chain's arithmetic needs it. */
type Link = { seq: bigint; afterNanos: bigint };

/** A deduction of the account's own that may not be settled yet. */
type OwnDeduction = { deductionId: string; costNanos: bigint; seq: bigint };

/** What one Postgres snapshot says of an account. */
type Books = {
  currency: string;
  status: string;
  totalCreditsNanos: bigint;
  totalDebitsNanos: bigint;
  limitNanos: bigint;
  creditsVersion: bigint;
  lastLink: Link | undefined;
  /** The newest credits version that some link carries, settled or still in the stream. */
  linkedVersion: bigint;
  /** Σ of the credits after that version. */
  unlinkedNanos: bigint;
  /** Keys (`id/seq/cost`) of the given deductions that are settled. All up to `closedSeq` are, too. */
  settled: ReadonlySet<string>;
  closedSeq: bigint;
  deadLetters: OwnDeduction[];
};

/**
 * Brings a cold account into Redis. Returns false when Postgres has no such account, true when it is loaded (by whomever).
 * Throws `postgres_unavailable`, `redis_unavailable`, `fenced`.
 */
export async function loadAccount(billing: Billing, account: AccountRef): Promise<boolean> {
  const shard = shardOf(account.id, billing.numShards);
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const token = await billing.fence.token(shard);
    const lastId = await lastStreamId(billing, shard);
    const inStream = await collectEntries(billing, shard, account.id, lastId);
    billing.observe("load.collected", { account: account.id });
    const books = await readBooks(billing, account.id, inStream);
    if (!books) return false;
    billing.observe("load.read", { account: account.id });
    const plan = planLoad(books, inStream);
    const word = await setAccount(billing, shard, account, token, lastId, books, plan);
    if (word === "loaded") {
      billing.observe("load.set", { account: account.id });
      if (plan.restNanos !== 0n) await reportRest(billing, account, plan);
    }
    if (word === "loaded" || word === "present") {
      await applyCredit(billing, account.id);
      return true;
    }
    if (word === "fenced") await billing.fence.verify(shard);
  }
  throw new BillingError("redis_unavailable", "The account is being loaded; try again.", {
    message: `account ${account.id} moved during each of ${MAX_TRIES} loads`,
  });
}

/** What to set, and the links that explain it. Pure: the arithmetic of the design's "Loading". */
function planLoad(books: Books, inStream: readonly Entry[]) {
  const own = new Map<string, OwnDeduction>();
  let last: Link = books.lastLink ?? { seq: 0n, afterNanos: 0n };
  for (const entry of inStream) {
    if (entry.accountSeq === null) continue;
    if (entry.kind === "usage")
      own.set(keyOf(entry.deductionId, entry.accountSeq, entry.costNanos), { ...entry, seq: entry.accountSeq });
    if (entry.accountSeq > last.seq && entry.balanceAfterNanos !== null)
      last = { seq: entry.accountSeq, afterNanos: entry.balanceAfterNanos };
  }
  for (const letter of books.deadLetters) own.set(keyOf(letter.deductionId, letter.seq, letter.costNanos), letter);
  let unsettledNanos = 0n;
  for (const [key, { seq, costNanos }] of own)
    if (seq > books.closedSeq && !books.settled.has(key)) unsettledNanos += costNanos;

  const expectedNanos = books.totalCreditsNanos - books.totalDebitsNanos - unsettledNanos;
  const creditNanos = books.creditsVersion > books.linkedVersion ? books.unlinkedNanos : undefined;
  const afterCreditNanos = last.afterNanos + (creditNanos ?? 0n);
  const restNanos = expectedNanos - afterCreditNanos;
  // What no credit explains is never given: a higher balance than the chain's is left out, and stays visible as drift.
  const repairNanos = restNanos < 0n ? restNanos : undefined;
  const balanceNanos = afterCreditNanos + (repairNanos ?? 0n);
  return {
    seq: last.seq,
    lastAfterNanos: last.afterNanos,
    debitsNanos: books.totalCreditsNanos - balanceNanos,
    creditNanos,
    repairNanos,
    restNanos,
  };
}

/** The last id the stream ever gave, so that a stream whose entries were all cleaned up does not look older than its mark. */
export async function lastStreamId(billing: Billing, shard: number): Promise<string> {
  try {
    const flat = replyArray(await billing.redis.xinfo("STREAM", streamKey(shard)));
    return replyText(flat[flat.indexOf("last-generated-id") + 1]);
  } catch (error) {
    if (error instanceof Error && error.message.includes("no such key")) return "0-0";
    throw redisFailure(error);
  }
}

/** The account's entries that may not be settled: what is unaccounted before the proven mark, and all after it up to `lastId`. */
export async function collectEntries(
  billing: Billing,
  shard: number,
  accountId: string,
  lastId: string,
): Promise<Entry[]> {
  const key = streamKey(shard);
  const found: Entry[] = [];
  const take = ([id, fields]: [Buffer, Buffer[]]) => {
    const entry = tryDecode({ shard, entryId: id.toString(), deliveryCount: 0, fields });
    if (entry?.accountId === accountId) found.push(entry); // what cannot be read is not ours: it moved no money of ours
  };
  let from = `(${await readMark(billing, shard)}`;
  for (const [id, account] of await readUnaccountedIds(billing, shard))
    if (account === accountId) (await billing.ask((redis) => redis.xrangeBuffer(key, id, id))).forEach(take);
  const wanted = Buffer.from(accountId);
  for (;;) {
    const page = await billing.ask((redis) => redis.xrangeBuffer(key, from, lastId, "COUNT", SCAN_PAGE));
    for (const row of page) {
      const at = row[1].findIndex((field, i) => i % 2 === 0 && field.equals(ACCOUNT_ID));
      if (row[1][at + 1]?.equals(wanted)) take(row);
    }
    const last = page.at(-1);
    if (!last || page.length < SCAN_PAGE) return found;
    from = `(${last[0].toString()}`;
  }
}

const ACCOUNT_ID = Buffer.from("account_id");

function keyOf(deductionId: string, seq: bigint, costNanos: bigint): string {
  return `${deductionId}/${seq}/${costNanos}`;
}

async function readBooks(billing: Billing, accountId: string, inStream: readonly Entry[]): Promise<Books | undefined> {
  return await inTransaction(billing.db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", async (query) => {
    const [account] = await query<Row>(
      `SELECT currency, status, total_credits, total_debits, credit_limit, credits_version, closed_seq FROM data.account_balance WHERE id = $1`,
      [accountId],
    );
    if (!account) return undefined;
    const [lastLink] = await query<Row>(
      `SELECT account_seq, balance_after FROM data.account_balance_audit
        WHERE account_id = $1 AND account_seq IS NOT NULL ORDER BY account_seq DESC, id DESC LIMIT 1`,
      [accountId],
    );
    const [credits] = await query<Row>(
      `SELECT l.version AS linked_version,
              (SELECT coalesce(sum(amount), 0) FROM data.account_balance_audit WHERE account_id = $1 AND credits_version > l.version) AS unlinked
         FROM (SELECT greatest($2::bigint, (SELECT credits_version FROM data.account_balance_audit
                 WHERE account_id = $1 AND credits_version IS NOT NULL AND (account_seq IS NOT NULL OR applied_at IS NOT NULL)
                 ORDER BY credits_version DESC LIMIT 1)) AS version) l`,
      [accountId, linkedInStream(inStream).toString()],
    );
    const letters = await query<Row>(
      `SELECT deduction_id, cost, account_seq FROM data.dead_letter
        WHERE account_id = $1 AND account_seq IS NOT NULL AND cost IS NOT NULL AND state <> 'replayed'`,
      [accountId],
    );
    const deadLetters = letters.map(readDeduction);
    const ids = inStream.flatMap((entry) => (entry.kind === "usage" ? [entry.deductionId] : []));
    const settled = await query<Row>(
      `SELECT deduction_id, account_seq, cost FROM data.usage_log
        WHERE deduction_id = ANY($1) AND account_id = $2 AND account_seq IS NOT NULL AND settled_at IS NOT NULL`,
      [[...ids, ...deadLetters.map((letter) => letter.deductionId)], accountId],
    );
    return {
      ...readAccount(account),
      linkedVersion: BigInt(credits?.linked_version ?? "0"),
      unlinkedNanos: parseUnits(credits?.unlinked ?? "0"),
      lastLink: readLink(lastLink),
      deadLetters,
      settled: new Set(settled.map(readDeduction).map((own) => keyOf(own.deductionId, own.seq, own.costNanos))),
    };
  });
}

type Row = Record<string, string>;

function readDeduction(row: Row): OwnDeduction {
  return {
    deductionId: row.deduction_id ?? "",
    costNanos: parseUnits(row.cost ?? ""),
    seq: BigInt(row.account_seq ?? ""),
  };
}

function readAccount(row: Row) {
  return {
    currency: row.currency ?? "",
    status: row.status ?? "",
    totalCreditsNanos: parseUnits(row.total_credits ?? ""),
    totalDebitsNanos: parseUnits(row.total_debits ?? ""),
    limitNanos: parseUnits(row.credit_limit ?? ""),
    creditsVersion: BigInt(row.credits_version ?? ""),
    closedSeq: BigInt(row.closed_seq ?? ""),
  };
}

function readLink(row: Row | undefined): Link | undefined {
  return row && { seq: BigInt(row.account_seq ?? ""), afterNanos: parseUnits(row.balance_after ?? "") };
}

/** The newest credits version that a link in the stream already carries; 0 for none. */
function linkedInStream(inStream: readonly Entry[]): bigint {
  return inStream.reduce(
    (max, entry) => (entry.kind !== "usage" && entry.creditsVersion > max ? entry.creditsVersion : max),
    0n,
  );
}

async function setAccount(
  billing: Billing,
  shard: number,
  account: AccountRef,
  token: string,
  lastId: string,
  books: Books,
  plan: ReturnType<typeof planLoad>,
): Promise<string> {
  const keys = loadKeys(shard, account);
  const args = [token, lastId, account.id, account.ownerId, account.type, books.currency];
  args.push(plan.seq.toString(), plan.lastAfterNanos.toString(), plan.debitsNanos.toString());
  args.push(
    books.creditsVersion.toString(),
    books.totalCreditsNanos.toString(),
    books.limitNanos.toString(),
    books.status,
  );
  args.push(plan.creditNanos?.toString() ?? "", plan.repairNanos?.toString() ?? "");
  const [word] = replyArray(await runScript(billing.redis, script, keys, args));
  return replyText(word);
}

function loadKeys(shard: number, account: AccountRef): string[] {
  const accountKey = balanceKey(shard, account.type, account.ownerId);
  return [streamKey(shard), epochKey(shard), accountKey, provenKey(shard), holdsKey(shard, account.id)];
}

/**
 * Sets absent accounts with a balance and one settled link each, by the script of a load, without asking the books: for measuring with
 * more accounts than the books would give in time. Nothing may move meanwhile. Throws when one was not set.
 */
export async function setAccounts(billing: Billing, accounts: readonly AccountRef[], balanceNanos: bigint) {
  const shards = new Map<number, Promise<[token: string, lastId: string]>>();
  const look = (shard: number) => Promise.all([billing.fence.token(shard), lastStreamId(billing, shard)]);
  const balance = balanceNanos.toString();
  const calls = accounts.map(async (account) => {
    const shard = shardOf(account.id, billing.numShards);
    const known = shards.get(shard) ?? look(shard);
    shards.set(shard, known);
    const [token, lastId] = await known;
    const args = [token, lastId, account.id, account.ownerId, account.type, account.currency];
    args.push("1", balance, "0", "1", balance, "0", "active", "", "");
    const reply = await runScript(billing.redis, script, loadKeys(shard, account), args);
    const [word] = replyArray(reply);
    if (word !== "loaded") throw new Error(`an account was not set: ${replyText(word)}`);
  });
  await Promise.all(calls);
}

async function reportRest(billing: Billing, account: AccountRef, plan: ReturnType<typeof planLoad>): Promise<void> {
  await openAlert(billing.db, {
    level: "critical",
    kind: "drift",
    key: account.id,
    message:
      plan.restNanos < 0n
        ? "An account was loaded with a repair: the books hold less than its last link said."
        : "An account was loaded below its books: no credit explains the difference.",
    details: { account_id: account.id, rest_nanos: plan.restNanos.toString(), last_seq: plan.seq.toString() },
  });
}
