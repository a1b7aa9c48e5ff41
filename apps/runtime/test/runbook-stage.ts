/** One system for all of the runbook: an operator's stage with everything settled in this process, and the runs of its schedules. */
import { randomUUID } from "node:crypto";
import {
  type AccountRef,
  applyCredit,
  type ChargeRequest,
  chargeMany,
  consume,
  GROUP,
  readStats,
  type ShardStats,
  streamKey,
  sweepHolds,
} from "@drawdown/billing";
import { listOpenAlerts, listSchedules, postCredit } from "@drawdown/db";
import { freePort, waitFor } from "@drawdown/local-stack";
import { readConfig } from "../src/config.ts";
import { billingSchedules } from "../src/jobs/schedule-tasks.ts";
import { type OperatorStage, openOperatorStage } from "./operator-stage.ts";
import type { Pass } from "./runbook-scenes.ts";
import { run, type Started, start } from "./stage.ts";

const within = { timeoutMs: 60_000 };

export type RunbookStage = Awaited<ReturnType<typeof openRunbookStage>>;

export async function openRunbookStage() {
  const operator = await openOperatorStage();
  const { billing, db } = operator;
  const env = {
    ...operator.env,
    ALERT_BACKLOG: "500",
    CONSUMER_RETRY_DELAY_MS: "10",
    GATEWAY_PORT: String(await freePort()),
  };
  const processes = new Set<Started>();
  const openKinds = async () => (await listOpenAlerts(db)).map(({ kind }) => kind);
  const pass = async (name: Pass, liveConsumer?: string) => {
    if (liveConsumer !== undefined) await showLife(operator, liveConsumer);
    const schedules = billingSchedules(billing, readConfig(["database", "redis"], env));
    await schedules.find((one) => one.name === name)?.run(new AbortController().signal);
  };
  return {
    ...operator,
    env,
    pass,
    openKinds,
    run: (args: readonly string[]) => run(args, env),
    start: (args: readonly string[]) => {
      const started = start(args, env);
      processes.add(started);
      return started;
    },
    stopProcesses: () => stopAll(processes),
    stop: async () => {
      await stopAll(processes);
      await operator.stop();
    },
    charge: (account: AccountRef, count: number, more: Partial<ChargeRequest> = {}) =>
      chargeUnits(operator, account, count, more),
    settle: () => settle(operator),
    /** A worker's sweep, until it finds something. */
    untilSwept: () =>
      waitFor(() => sweepHolds(billing).then((due) => due > 0), { ...within, what: "a hold to expire" }),
    untilOpen: (kind: string) =>
      waitFor(async () => (await openKinds()).includes(kind), { ...within, what: `the alert ${kind}` }),
    /** Of one consumer, or of all. */
    untilDead: (name?: string) =>
      waitFor(async () => (await consumersOf(operator, name)).every(({ idleMs }) => idleMs >= 8_000), {
        ...within,
        what: "the worker to be dead",
      }),
    untilDrained: () =>
      waitFor(async () => (await readStats(billing)).shards.every((shard) => isRead(shard) && shard.pending === 0), {
        ...within,
        what: "everything to be settled",
      }),
    /** A worker's first start, which enters the schedules and makes their queue. */
    installQueue: async () => {
      processes.add(start(["worker"], env));
      const ran = async () => (await listSchedules(db)).some(({ lastRunAt }) => lastRunAt !== null);
      await waitFor(ran, { ...within, what: "a worker's first start" });
      await stopAll(processes);
    },
    addAccount: (account: AccountRef) => addAccount(operator, account),
    credit: async ({ id }: AccountRef, amount: string, reference: string) => {
      await postCredit(db, { accountId: id, amount, category: "top_up", reason: "paid", actor: "test", reference });
      await applyCredit(billing, id);
    },
    applyCredit: (account: AccountRef) => applyCredit(billing, account.id),
    restoreOlderCopy: (account: AccountRef, amount: string) => restoreOlderCopy(operator, account, amount),
  };
}

async function addAccount({ rows }: OperatorStage, { id, ownerId }: AccountRef): Promise<void> {
  await rows("INSERT INTO data.user_profile (id, name) VALUES ($1, 'test')", [ownerId]);
  const sql = "INSERT INTO data.account_balance (id, owner_userid, currency, balance) VALUES ($1, $2, 'USD', 100)";
  await rows(sql, [id, ownerId]);
}

/** A worker that lives and settles nothing, as one that waits for Postgres. */
async function showLife({ billing }: OperatorStage, name: string): Promise<void> {
  for (let shard = 0; shard < billing.numShards; shard++) {
    const key = streamKey(shard);
    await billing.redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM").catch(() => undefined); // it is there already
    await billing.redis.xgroup("DELCONSUMER", key, GROUP, name);
    await billing.redis.xgroup("CREATECONSUMER", key, GROUP, name);
  }
}

async function chargeUnits(
  { billing }: OperatorStage,
  account: AccountRef,
  count: number,
  more: Partial<ChargeRequest>,
): Promise<string[]> {
  const request = (): ChargeRequest => ({
    account,
    virtualKey: "vk_test",
    requestId: randomUUID(),
    digest: "d".repeat(64),
    costNanos: 1_000_000_000n,
    provider: "openai",
    model: "gpt-4o",
    inputTokens: 10,
    outputTokens: 5,
    usageSource: "provider",
    ...more,
  });
  const outcomes = await chargeMany(billing, Array.from({ length: count }, request));
  return outcomes.map((outcome) => {
    if (outcome.outcome !== "charged") throw new Error(outcome.outcome);
    return outcome.deductionId;
  });
}

/** Settles what is new, or keeps it as a dead letter. What a dead worker holds is left to it. */
async function settle({ billing }: OperatorStage): Promise<void> {
  const stop = new AbortController();
  const settings = { blockTimeMs: 50, retryDelayMs: 10, claimIdleMs: 600_000 };
  const ended = consume({ billing, consumer: "settler", signal: stop.signal, settings });
  const rest = async () => {
    const { shards } = await readStats(billing);
    const mine = shards.flatMap(({ consumers }) => consumers.filter(({ name }) => name === "settler"));
    return shards.every(isRead) && mine.every(({ pending }) => pending === 0);
  };
  await waitFor(rest, { ...within, what: "everything new to be settled" });
  stop.abort();
  await ended;
}

function isRead({ lastId, lastDeliveredId }: ShardStats): boolean {
  if (lastId === null) return true;
  const [last, delivered] = [lastId, lastDeliveredId ?? "0-0"].map((id) => id.split("-").map(BigInt));
  const [ms = 0n, seq = 0n] = last ?? [];
  const [deliveredMs = 0n, deliveredSeq = 0n] = delivered ?? [];
  return deliveredMs > ms || (deliveredMs === ms && deliveredSeq >= seq);
}

async function consumersOf({ billing }: OperatorStage, name: string | undefined) {
  const consumers = (await readStats(billing)).shards.flatMap((shard) => shard.consumers);
  return name === undefined ? consumers : consumers.filter((one) => one.name === name);
}

/** The books of an account as they were before its last credit, and before its deductions settled. */
async function restoreOlderCopy({ rows }: OperatorStage, { id }: AccountRef, amount: string): Promise<void> {
  await rows("ALTER TABLE data.account_balance DISABLE TRIGGER USER");
  const before = "balance = balance + total_debits - $2::numeric, total_debits = 0, credits_version = 1";
  await rows(`UPDATE data.account_balance SET ${before} WHERE id = $1`, [id, amount]);
  await rows("ALTER TABLE data.account_balance ENABLE TRIGGER USER");
  const newer = "(deduction_id IS NOT NULL OR credits_version > 1)";
  await rows(`DELETE FROM data.account_balance_audit WHERE account_id = $1 AND ${newer}`, [id]);
  await rows("DELETE FROM data.usage_log WHERE account_id = $1", [id]);
  await rows("UPDATE data.shard SET proven = NULL");
}

async function stopAll(processes: Set<Started>): Promise<void> {
  const running = [...processes].filter(({ child }) => child.exitCode === null && child.signalCode === null);
  for (const one of running) one.signal("SIGTERM");
  await Promise.all(running.map(({ exited }) => exited));
  processes.clear();
}
