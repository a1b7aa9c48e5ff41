// What replays need to be tested: entries that older and dead workers leave behind, and the design's equation.
import { randomUUID } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import {
  type AccountRef,
  type Act,
  charge,
  formatUnits,
  listPending,
  parseUnits,
  peekBalance,
  readStandings,
  runOperation,
  shardOf,
  streamKey,
} from "../src/index.ts";
import { aCharge, type Stage } from "./stage.ts";

export const GROUP = "billing_workers";
export const UNIT = 1_000_000_000n;

export function anAct(more: Partial<Act> = {}): Act {
  return { actor: "tester", role: "admin", reason: "a test", ...more };
}

export function keyOf(account: AccountRef): string {
  return streamKey(shardOf(account.id, 16));
}

/** Charges one unit each; returns the deduction ids. */
export async function chargeUnits(stage: Stage, account: AccountRef, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const outcome = await charge(stage.billing, aCharge(account, UNIT));
    if (outcome.outcome !== "charged") throw new Error(outcome.outcome);
    ids.push(outcome.deductionId);
  }
  return ids;
}

/** Delivers everything new of the account's shard to a consumer that does nothing with it. */
export async function deliverTo(stage: Stage, account: AccountRef, consumer: string): Promise<string[]> {
  const key = keyOf(account);
  const redis = stage.billing.redis;
  await redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM").catch(() => {}); // it is there already
  const reply = await redis.xreadgroup("GROUP", GROUP, consumer, "COUNT", 100_000, "STREAMS", key, ">");
  const [[, entries] = ["", []]] = (reply ?? []) as [string, [string, string[]][]][];
  return entries.map(([id]) => id);
}

/** As a worker of the older design whose insert failed: everything new is acked, nothing is written. */
export async function ackUnwritten(stage: Stage, account: AccountRef): Promise<string[]> {
  const ids = await deliverTo(stage, account, "older-worker");
  if (ids.length > 0) await stage.billing.redis.xack(keyOf(account), GROUP, ...ids);
  return ids;
}

/** As a worker of the older design whose insert succeeded: rows, no balance moved, acked. */
export async function writeAsOlderWorker(stage: Stage, account: AccountRef): Promise<string[]> {
  const key = keyOf(account);
  const ids = await deliverTo(stage, account, "older-worker");
  for (const id of ids) {
    const [row] = await stage.billing.redis.xrange(key, id, id);
    const fields = row?.[1] ?? [];
    const value = (name: string) => fields[fields.indexOf(name) + 1] ?? "";
    if (!fields.includes("cost")) continue;
    await stage.query(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at,
          input_tokens, output_tokens, metadata_json, sync_status)
       VALUES ($1, 'vk_test', $2, 'user', 'openai', 'gpt-4o', $3, 'USD', now(), 10, 5, '{}', 'completed')`,
      [value("deduction_id"), value("account_id"), value("cost")],
    );
  }
  await stage.billing.redis.xack(key, GROUP, ...ids);
  return ids;
}

/** Until a consumer that stopped counts as dead. */
export async function untilDead(stage: Stage, consumer: string): Promise<void> {
  await waitFor(
    async () => {
      const { entries } = await listPending(stage.billing, { consumer });
      return entries.length > 0 && entries.every(({ live }) => !live);
    },
    { timeoutMs: 15_000, what: `${consumer} dead` },
  );
}

export async function settleAll(stage: Stage): Promise<void> {
  const running = [stage.worker(), stage.listener()];
  await stage.atRest();
  await Promise.all(running.map((one) => one.stop()));
}

/** Settles, or keeps as dead letters, all there is; what that leaves of credits to apply is left. */
export async function drain(stage: Stage): Promise<void> {
  const worker = stage.worker({ settings: { retryDelayMs: 10 } });
  await stage.drained();
  await worker.stop();
}

/** Accounts whose entries stand in streams of their own. */
export async function accountsApart(stage: Stage): Promise<[AccountRef, AccountRef]> {
  const first = await stage.account("100");
  for (;;) {
    const second = await stage.account("100");
    if (keyOf(second) !== keyOf(first)) return [first, second];
  }
}

/** Executes an act to its end, as the command line does when no worker runs. */
export async function execute(stage: Stage, operationId: string | null): Promise<Record<string, unknown>> {
  if (operationId === null) return {};
  await runOperation(stage.billing, operationId, new AbortController().signal);
  const [row] = await stage.query<{ result: Record<string, unknown> }>(
    "SELECT result FROM data.operator_action WHERE id = $1 AND finished_at IS NOT NULL",
    [operationId],
  );
  return row?.result ?? {};
}

/** Adds an entry as another producer would. */
export async function addEntry(
  stage: Stage,
  account: AccountRef,
  fields: Record<string, string | Buffer>,
): Promise<string> {
  return String(await stage.billing.redis.call("XADD", keyOf(account), "*", ...Object.entries(fields).flat()));
}

/** A deduction exactly as older producers write it. */
export function olderFields(account: AccountRef, more: Record<string, string> = {}): Record<string, string> {
  return {
    deduction_id: `ded_older_${randomUUID()}`,
    account_id: account.id,
    account_type: "user",
    virtual_key: "vk_old",
    cost: "0.01",
    currency: "usd",
    provider: "openai",
    model: "gpt-4o",
    input_tokens: "3",
    output_tokens: "4",
    timestamp: "2026-01-02T03:04:05.678Z",
    ...more,
  };
}

/**
 * The two sums of the design, at rest: what Redis says less what the books say. Both are "0.000000000" wherever the deductions
 * are: settled, pending, acked by an older worker, dead-lettered, discarded.
 */
export async function drift(stage: Stage, account: AccountRef): Promise<{ debits: string; credits: string }> {
  const redis = await peekBalance(stage.billing, account);
  if (!redis) throw new Error("the account is not loaded");
  const unsettled = new Map<string, bigint>();
  const { entries } = await readStandings(stage.billing, shardOf(account.id, 16), "-", "+", 1_000_000);
  for (const { entry, standing } of entries)
    if (
      entry?.kind === "usage" &&
      entry.accountId === account.id &&
      entry.accountSeq !== null &&
      standing !== "settled"
    )
      unsettled.set(entry.deductionId, entry.costNanos);
  const letters = await stage.query<{ deduction_id: string; cost: string }>(
    `SELECT deduction_id, cost FROM data.dead_letter d WHERE account_id = $1 AND account_seq IS NOT NULL AND state <> 'replayed'
        AND NOT EXISTS (SELECT FROM data.usage_log u WHERE u.deduction_id = d.deduction_id AND u.cost = d.cost AND u.settled_at IS NOT NULL)`,
    [account.id],
  );
  for (const letter of letters) unsettled.set(letter.deduction_id, parseUnits(letter.cost));
  const [books] = await stage.query<{ total_debits: string; total_credits: string }>(
    "SELECT total_debits, total_credits FROM data.account_balance WHERE id = $1",
    [account.id],
  );
  const waiting = [...unsettled.values()].reduce((sum, cost) => sum + cost, 0n);
  return {
    debits: formatUnits(redis.debitsNanos - parseUnits(books?.total_debits ?? "") - waiting),
    credits: formatUnits(redis.balanceNanos + redis.debitsNanos - parseUnits(books?.total_credits ?? "")),
  };
}

export const noDrift = { debits: "0.000000000", credits: "0.000000000" };

/** How often each deduction is in the books, and by how much the account's debits differ from their sum. */
export async function booked(stage: Stage, account: AccountRef): Promise<{ rows: number; moved: string }> {
  const [row] = await stage.query<{ rows: number; moved: string }>(
    `SELECT count(*)::int AS rows, (SELECT total_debits FROM data.account_balance WHERE id = $1) - coalesce(sum(cost), 0) AS moved
       FROM data.usage_log WHERE account_id = $1 AND settled_at IS NOT NULL AND account_seq IS NOT NULL`,
    [account.id],
  );
  return { rows: row?.rows ?? -1, moved: row?.moved ?? "" };
}
