// Bringing credits from Postgres to Redis. A notification only wakes us up: the row is read, and Redis is given the absolute
// total with its version, which the script applies if it is newer. What was missed is found by reading again every account
// that has audit rows not applied yet: when either connection comes back, every 30 s, and when more is told than is kept in mind.
import { type AccountCredits, findUnapplied, listen, openAlert, readCredits } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { balanceKey, epochKey, shardOf, streamKey } from "./keys.ts";
import { parseUnits } from "./money.ts";
import { fromBooks } from "./postgres.ts";
import { loadScript, replyArray, replyText, runScript } from "./redis.ts";
import { isUuid } from "./stream.ts";

const script = loadScript("./credit.lua");
const CHANNEL = "account_balance_updated";
const CATCH_UP_MS = 30_000;
/** Accounts in hand, of those told of and of those found. */
const CATCH_UP_PAGE = 500;
const APPLIED_AT_ONCE = 100;
const MAX_FENCED = 3;

export type CreditOutcome = "applied" | "same" | "not_loaded" | "went_back" | "conflict" | "unknown_account";

/**
 * Reads an account's credits and applies them in Redis if they are newer. A Postgres that went back (a lower version than
 * Redis has, or the same version with another total) opens a critical alert and applies nothing. Throws `BillingError`.
 */
export async function applyCredit(billing: Billing, accountId: string): Promise<CreditOutcome> {
  const [row] = await fromBooks(readCredits(billing.db, [accountId]));
  return row ? await applyRow(billing, row) : "unknown_account";
}

/** Returns how many were newer than what Redis had. */
async function applyRows(billing: Billing, rows: readonly AccountCredits[]): Promise<number> {
  let applied = 0;
  for (let at = 0; at < rows.length; at += APPLIED_AT_ONCE) {
    const some = rows.slice(at, at + APPLIED_AT_ONCE);
    const outcomes = await Promise.all(some.map((row) => applyRow(billing, row)));
    applied += outcomes.filter((outcome) => outcome === "applied").length;
  }
  return applied;
}

async function applyRow(billing: Billing, row: AccountCredits): Promise<CreditOutcome> {
  billing.observe("credit.read", { account: row.id, version: row.creditsVersion });
  const reply = await sendCredit(billing, row);
  switch (reply[0]) {
    case "applied":
      billing.observe("credit.applied", { account: row.id, version: row.creditsVersion });
      return "applied";
    case "same":
    case "not_loaded":
      return reply[0];
    case "older":
      return await confirmWentBack(billing, row, reply[1] ?? "");
    case "conflict":
      await alertWentBack(billing, row, { redis_total_nanos: reply[1], same_version: true });
      return "conflict";
    default:
      throw new TypeError(`credit.lua answered ${reply.join(" ")}`);
  }
}

async function sendCredit(billing: Billing, row: AccountCredits): Promise<string[]> {
  const shard = shardOf(row.id, billing.numShards);
  const keys = [streamKey(shard), epochKey(shard), balanceKey(shard, row.type, row.ownerId)];
  for (let attempt = 0; attempt < MAX_FENCED; attempt++) {
    const token = await billing.fence.token(shard);
    const totalNanos = parseUnits(row.totalCredits).toString();
    const args = [
      token,
      row.creditsVersion.toString(),
      totalNanos,
      parseUnits(row.creditLimit).toString(),
      row.status,
      row.id,
      row.ownerId,
      row.type,
      row.currency,
    ];
    const reply = replyArray(await runScript(billing.redis, script, keys, args)).map(replyText);
    if (reply[0] !== "fenced") return reply;
    await billing.fence.verify(shard);
  }
  throw new BillingError("fenced", "The balance store is being checked after a restart.");
}

/** Another listener may have applied a newer row between our reading and our script: only a second reading proves it. */
async function confirmWentBack(billing: Billing, stale: AccountCredits, redisVersion: string): Promise<CreditOutcome> {
  const [row] = await fromBooks(readCredits(billing.db, [stale.id]));
  if (!row) return "unknown_account";
  if (row.creditsVersion >= BigInt(redisVersion)) return "same";
  await alertWentBack(billing, row, { redis_version: redisVersion, same_version: false });
  return "went_back";
}

async function alertWentBack(billing: Billing, row: AccountCredits, details: Record<string, unknown>): Promise<void> {
  const alert = {
    level: "critical" as const,
    kind: "postgres_went_back",
    key: row.id,
    message:
      "Postgres has older credits of an account than Redis: it was restored from an older copy. Nothing is applied.",
    details: { account_id: row.id, postgres_version: row.creditsVersion.toString(), ...details },
  };
  await fromBooks(openAlert(billing.db, alert));
}

/**
 * Reads again every account with credits that are not applied yet, page by page, and after each page does what `between` says. Returns how
 * many were applied.
 */
export async function catchUpCredits(billing: Billing, between: () => Promise<void> = async () => {}): Promise<number> {
  let applied = 0;
  let after = "00000000-0000-0000-0000-000000000000";
  for (;;) {
    const rows = await fromBooks(findUnapplied(billing.db, CATCH_UP_PAGE, after));
    applied += await applyRows(billing, rows);
    after = rows.at(-1)?.id ?? after;
    if (rows.length < CATCH_UP_PAGE) break;
    await between();
  }
  billing.observe("credit.caught_up", { applied });
  return applied;
}

export type ApplyCreditsOptions = {
  billing: Billing;
  /** LISTEN needs a connection of its own. */
  databaseUrl: string;
  signal: AbortSignal;
  /** Called with what failed; the work goes on and is tried again. */
  onError?: (error: unknown) => void;
  catchUpMs?: number;
};

/** Listens and applies until the signal aborts; resolves when all has ended. Any number may run at once. */
export async function applyCredits(options: ApplyCreditsOptions): Promise<void> {
  const { billing } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const report = options.onError ?? (() => {});
  /** Owners: an account that changed often is read once. */
  const wanted = new Set<string>();
  let catchUp = true;
  let wake = () => {};
  const ring = () => wake();
  const askCatchUp = () => {
    catchUp = true;
    ring();
  };
  const onNotification = (payload: string) => {
    const owner = readOwner(payload);
    if (owner === undefined) return;
    if (wanted.size < CATCH_UP_PAGE) wanted.add(owner);
    else catchUp = true; // finds them all, for what told of them is in the books
    ring();
  };
  const applyTold = async () => {
    const owners = [...wanted];
    wanted.clear();
    await applyNotified(billing, owners);
  };
  const listening = listen(options.databaseUrl, [CHANNEL], {
    signal,
    onNotification: (_channel, payload) => onNotification(payload),
    onError: report,
    onConnected: () => {
      billing.observe("credit.listening");
      askCatchUp();
    },
  });
  billing.redis.on("ready", askCatchUp);
  const timer = setInterval(askCatchUp, options.catchUpMs ?? CATCH_UP_MS);
  signal.addEventListener("abort", ring, { once: true });
  try {
    while (!signal.aborted) {
      if (wanted.size === 0 && !catchUp) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (signal.aborted) resolve();
        });
        continue;
      }
      const all = catchUp;
      catchUp = false;
      try {
        await applyTold();
        if (all) await catchUpCredits(billing, applyTold); // long where many accounts are not loaded
      } catch (error) {
        if (!(error instanceof BillingError)) throw error;
        report(error); // the timer, or a connection that comes back, brings us here again
      }
    }
  } finally {
    stop.abort(); // a bug must reject, not wait for a listener that goes on without us
    clearInterval(timer);
    billing.redis.off("ready", askCatchUp);
    await listening;
  }
}

async function applyNotified(billing: Billing, owners: readonly string[]): Promise<void> {
  if (owners.length === 0) return;
  const sql = `SELECT id FROM data.account_balance WHERE owner_userid = ANY($1::uuid[]) OR owner_tenantid = ANY($1::uuid[])`;
  const accounts = await billing.query<{ id: string }>(sql, [owners]);
  const rows = await fromBooks(
    readCredits(
      billing.db,
      accounts.map((account) => account.id),
    ),
  );
  await applyRows(billing, rows);
}

/** A payload names an owner, and since ours also the account; older senders name only the owner. */
function readOwner(payload: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(payload);
    if (typeof parsed !== "object" || parsed === null || !("account_id" in parsed)) return undefined;
    return isUuid(parsed.account_id) ? parsed.account_id : undefined;
  } catch {
    return undefined; // not ours to understand; catch-up finds what it meant
  }
}
