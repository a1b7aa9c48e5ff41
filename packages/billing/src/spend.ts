// What a key may draw in a period, and what it drew. The figure stands in its account's hash in Redis, where every charge and capture of
// the key adds to it in the script that draws it; what is set aside is summed from the account's open holds. So a limit is exact under
// any concurrency and nothing of it can leak. It is begun when first asked for, and begun again when the account is loaded again:
// from a link on everything is counted, and what was drawn up to that link is read from the books and the stream.
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { balanceKey, epochKey, shardOf } from "./keys.ts";
import { collectEntries, lastStreamId, loadAccount } from "./load.ts";
import { MAX_AMOUNT_NANOS, parseUnits } from "./money.ts";
import { inTransaction } from "./postgres.ts";
import { loadScript, replyArray, replyText, runScript } from "./redis.ts";
import type { AccountRef, Entry, UsageEntry } from "./stream.ts";

/** Of UTC; a week begins on Monday. */
export type SpendPeriod = "day" | "week" | "month";

/** What a key draws in a period stays at or below the limit; only a capture above its hold may exceed it. */
export type SpendLimit = { period: SpendPeriod; limitNanos: bigint };

const script = loadScript("./draw.lua", "./spend.lua");
const MAX_TRIES = 8;
const DAY_MS = 24 * 3_600_000;
/** No link is beyond it: the largest bigint of Postgres. */
const LAST_SEQ = 2n ** 63n - 1n;

/** A limit as the scripts take it. Throws `invalid_amount`. */
export function spendArg(limit: SpendLimit | undefined): string {
  if (limit === undefined) return "";
  if (limit.limitNanos < 0n || limit.limitNanos > MAX_AMOUNT_NANOS)
    throw new BillingError("invalid_amount", "The spend limit is out of range.");
  return `${limit.period} ${limit.limitNanos}`;
}

/**
 * Makes known to the scripts what a key drew in the present period. Callers of one process share the work. Returns false when there
 * is no such account. Throws `postgres_unavailable`, `redis_unavailable`, `fenced`.
 */
export async function loadSpend(
  billing: Billing,
  account: AccountRef,
  virtualKey: string,
  period: SpendPeriod,
): Promise<boolean> {
  const name = `${account.id} ${period} ${virtualKey}`;
  const running = billing.spendLoads.get(name);
  if (running) return await running;
  const loading = loadOnce(billing, account, virtualKey, period).finally(() => billing.spendLoads.delete(name));
  billing.spendLoads.set(name, loading);
  return await loading;
}

/**
 * What a key drew in the present period, as its limit counts it: from Redis where that is known, else from the books and the stream. Writes
 * nothing. Throws `postgres_unavailable`, `redis_unavailable`.
 */
export async function readSpent(
  billing: Billing,
  account: Omit<AccountRef, "currency">,
  virtualKey: string,
  period: SpendPeriod,
): Promise<{ since: Date; spentNanos: bigint }> {
  const shard = shardOf(account.id, billing.numShards);
  const key = balanceKey(shard, account.type, account.ownerId);
  const { field, now } = await billing.ask(async (redis) => ({
    field: await redis.hget(key, `s:${virtualKey}`),
    now: Number((await redis.time())[0]) * 1_000,
  }));
  const since = startAt(period, now);
  const [, counted, start = "", drawn = "", rest] = /^(\w+) (\S+) (\d+)(.*)$/.exec(field ?? "") ?? [];
  if (counted === period && startOf(period, start) < since) return { since, spentNanos: 0n };
  if (counted === period && rest === "") return { since, spentNanos: BigInt(drawn) };
  return { since, spentNanos: await readDrawn(billing, shard, account, virtualKey, { since, upToSeq: LAST_SEQ }) };
}

/** When the period of a moment began. */
function startAt(period: SpendPeriod, ms: number): Date {
  const day = Math.floor(ms / DAY_MS);
  if (period === "week") return startOf(period, String(Math.floor((day + 3) / 7)));
  return startOf(period, new Date(day * DAY_MS).toISOString().slice(0, period === "day" ? 10 : 7));
}

async function loadOnce(
  billing: Billing,
  account: AccountRef,
  virtualKey: string,
  period: SpendPeriod,
): Promise<boolean> {
  const shard = shardOf(account.id, billing.numShards);
  const keys = [epochKey(shard), balanceKey(shard, account.type, account.ownerId)];
  let found = ["", "", "0"];
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const token = await billing.fence.token(shard);
    const args = [token, virtualKey, period, ...found];
    const reply = replyArray(await runScript(billing.redis, script, keys, args)).map(replyText);
    const [word, start = "", seq = ""] = reply;
    if (word === "known") return true;
    if (word === "fenced") await billing.fence.verify(shard);
    else if (word === "not_loaded") {
      if (!(await loadAccount(billing, account))) return false;
    } else {
      const before = { since: startOf(period, start), upToSeq: BigInt(seq) };
      found = [start, seq, (await readDrawn(billing, shard, account, virtualKey, before)).toString()];
    }
  }
  throw new BillingError("fenced", "What the key has spent is being counted; try again.");
}

/** When a period began, from how the scripts name it (draw.lua). */
function startOf(period: SpendPeriod, start: string): Date {
  if (period === "week") return new Date((Number(start) * 7 - 3) * DAY_MS); // 1970-01-01 was a Thursday
  return new Date(`${start}${period === "month" ? "-01" : ""}T00:00:00Z`);
}

/** Σ of a key's own deductions since a moment and up to a link, settled or not. */
async function readDrawn(
  billing: Billing,
  shard: number,
  account: Pick<AccountRef, "id">,
  virtualKey: string,
  before: { since: Date; upToSeq: bigint },
): Promise<bigint> {
  const isOurs = (entry: Entry): entry is UsageEntry =>
    entry.kind === "usage" &&
    entry.virtualKey === virtualKey &&
    entry.accountSeq !== null &&
    entry.accountSeq <= before.upToSeq &&
    Date.parse(entry.timestamp) >= before.since.getTime();
  // The stream first: what leaves it is in the books by then.
  const inStream = (await collectEntries(billing, shard, account.id, await lastStreamId(billing, shard))).filter(
    isOurs,
  );
  const { settledNanos, open } = await inTransaction(
    billing.db,
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    async (query) => {
      const [settled] = await query<{ sum: string }>(
        `SELECT coalesce(sum(cost), 0) AS sum FROM data.usage_log
          WHERE virtual_key = $1 AND created_at >= $2 AND account_id = $3 AND account_seq <= $4 AND settled_at IS NOT NULL`,
        [virtualKey, before.since, account.id, before.upToSeq.toString()],
      );
      const lettersOfKey = await query<Row & { timestamp: string | null }>(
        `SELECT deduction_id, account_seq, cost, fields->>'timestamp' AS timestamp FROM data.dead_letter
          WHERE account_id = $2::text AND account_seq <= $3 AND cost IS NOT NULL AND state <> 'replayed' AND fields->>'virtual_key' = $1
            AND account_seq > (SELECT closed_seq FROM data.account_balance WHERE id = $2::text::uuid)`,
        [virtualKey, account.id, before.upToSeq.toString()],
      );
      // One without a readable time may be of this period: it counts.
      const letters = lettersOfKey.filter((row) => !(Date.parse(row.timestamp ?? "") < before.since.getTime()));
      const own = new Map(inStream.map((entry) => [nameOf(entry.deductionId, entry.accountSeq), entry.costNanos]));
      for (const row of letters) own.set(nameOf(row.deduction_id, row.account_seq), parseUnits(row.cost));
      const booked = await query<Row>(
        `SELECT deduction_id, account_seq, cost FROM data.usage_log
          WHERE deduction_id = ANY($1) AND account_id = $2 AND settled_at IS NOT NULL`,
        [[...inStream.map(({ deductionId }) => deductionId), ...letters.map((row) => row.deduction_id)], account.id],
      );
      for (const row of booked) own.delete(nameOf(row.deduction_id, row.account_seq));
      return { settledNanos: parseUnits(settled?.sum ?? "0"), open: [...own.values()] };
    },
  );
  return open.reduce((sum, nanos) => sum + nanos, settledNanos);
}

type Row = { deduction_id: string; account_seq: string; cost: string };

function nameOf(deductionId: string, seq: bigint | string | null): string {
  return `${deductionId}/${seq}`;
}
