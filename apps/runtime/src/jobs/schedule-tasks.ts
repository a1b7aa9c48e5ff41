/** The schedules of a worker: what each does, and with which settings. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  alertChains,
  alertDrift,
  alertUnaccounted,
  alertUncaptured,
  type Billing,
  cleanup,
  endDoubts,
  type KeptReason,
  monitor,
  type Proof,
  proveShard,
  readStats,
  reconcile,
  retain,
  type ShardCleanup,
  type Stats,
  verifyChain,
} from "@drawdown/billing";
import { readClock, removeOldRefusals, runScheduleNow } from "@drawdown/db";
import type { Config } from "../config.ts";
import type { JobsOptions } from "./runner.ts";
import { beatCron, enterSchedules, runStartSchedules, type Schedule, scheduleTasks } from "./schedules.ts";
import { webhookSettings, webhookTask } from "./webhook.ts";

export type ScheduleSettings = Pick<
  Config,
  | "alerts"
  | "cleanup"
  | "monitorIntervalMs"
  | "proveIntervalMs"
  | "reconcileIntervalMs"
  | "retention"
  | "verifyChainIntervalMs"
>;

const HOUR_MS = 3_600_000;

/** The worker's part in them: what `runJobs` is to be given. */
export function scheduleJobs(
  billing: Billing,
  config: ScheduleSettings,
  { signal, log, onError }: Pick<JobsOptions, "signal" | "log" | "onError">,
): Pick<JobsOptions, "parsedCronItems" | "onStarting" | "onStarted" | "taskList"> {
  const { db } = billing;
  const schedules = billingSchedules(billing, config);
  const webhook = webhookSettings(config.alerts);
  if (webhook.url !== undefined && webhook.secret === undefined)
    log.warn("ALERT_WEBHOOK_SECRET is not set: alerts are posted without a signature.");
  return {
    taskList: {
      ...scheduleTasks(db, schedules, signal, onError),
      ...webhookTask(db, webhook, signal),
    },
    parsedCronItems: beatCron(),
    onStarting: () => enterSchedules(db, schedules),
    onStarted: () => runStartSchedules(db, schedules),
  };
}

/** By name: `cleanup`, `monitoring`, `prove`, `reconcile`, `verify-chain`, and `retention` where it is set. */
export function billingSchedules(billing: Billing, settings: ScheduleSettings): Schedule[] {
  return [
    cleanupSchedule(billing, settings),
    monitoringSchedule(billing, settings),
    proveSchedule(billing, settings),
    reconcileSchedule(billing, settings),
    verifyChainSchedule(billing, settings),
    ...(settings.retention ? [retentionSchedule(billing, settings.retention)] : []),
  ];
}

/** Above the limit of memory the cut-off is minutes, not a day. */
function cleanupSchedule(billing: Billing, { cleanup: limits, alerts }: ScheduleSettings): Schedule {
  return {
    name: "cleanup",
    intervalMs: limits.intervalMs,
    firstDelayMs: limits.firstDelayMs,
    settings: {
      interval_ms: limits.intervalMs,
      first_delay_ms: limits.firstDelayMs,
      max_age_ms: limits.maxAgeMs,
      pressure_max_age_ms: limits.pressureMaxAgeMs,
      pressure_memory_share: alerts.memoryShare,
      max_per_shard: limits.batchSize,
    },
    run: async (signal) => {
      const pressed = isPressed((await readStats(billing)).redis, alerts.memoryShare);
      const maxAgeMs = pressed ? Math.min(limits.maxAgeMs, limits.pressureMaxAgeMs) : limits.maxAgeMs;
      const shards = await cleanup(billing, { maxAgeMs, maxPerShard: limits.batchSize, dryRun: false, signal });
      const refusalsRemoved = signal.aborted ? 0 : await removeOldRefusals(billing.db, signal);
      return { max_age_ms: maxAgeMs, ...total(shards), refusals_removed: refusalsRemoved };
    },
  };
}

function isPressed({ memoryShare }: Stats["redis"], limit: number): boolean {
  return memoryShare !== null && memoryShare > limit;
}

function total(shards: readonly ShardCleanup[]) {
  const kept: Partial<Record<KeptReason, number>> = {};
  for (const shard of shards)
    for (const [reason, count] of Object.entries(shard.kept) as [KeptReason, number][])
      kept[reason] = (kept[reason] ?? 0) + count;
  return {
    trimmed: shards.reduce((sum, { trimmed }) => sum + trimmed, 0),
    kept,
    dangling_cleared: shards.reduce((sum, { danglingCleared }) => sum + danglingCleared, 0),
    consumers_removed: [...new Set(shards.flatMap(({ consumersRemoved }) => consumersRemoved))].toSorted(),
  };
}

/** Judges, and starts a cleanup at once when memory runs short. */
function monitoringSchedule(billing: Billing, settings: ScheduleSettings): Schedule {
  const { memoryShare } = settings.alerts;
  return {
    ...judgingSchedule(billing, settings, async (stats, signal) => {
      const pressed = isPressed(stats.redis, memoryShare);
      if (pressed && !signal.aborted) await runScheduleNow(billing.db, "cleanup");
      return { cleanup_started: pressed };
    }),
    atStart: true,
  };
}

/** The judgement alone, as a gateway can make it: a cleanup is a worker's. */
export function judgingSchedule(
  billing: Billing,
  { alerts, monitorIntervalMs }: ScheduleSettings,
  then: (stats: Stats, signal: AbortSignal) => Promise<Record<string, unknown>> = async () => ({ by: "gateway" }),
): Schedule {
  const { backlog, shardImbalance, oldestUnsettledMs, deadLetters, memoryShare } = alerts;
  const limits = { backlog, shardImbalance, oldestUnsettledMs, deadLetters, memoryShare };
  return {
    name: "monitoring",
    intervalMs: monitorIntervalMs,
    firstDelayMs: monitorIntervalMs,
    settings: {
      interval_ms: monitorIntervalMs,
      backlog,
      shard_imbalance: shardImbalance,
      oldest_unsettled_ms: oldestUnsettledMs,
      dead_letters: deadLetters,
      memory_share: memoryShare,
    },
    run: async (signal) => {
      const { stats, judgements } = await monitor(billing, limits, signal);
      await alertUncaptured(billing);
      const of = (verdict: string) => judgements.filter((one) => one.verdict === verdict).map(({ kind }) => kind);
      return { wrong: of("wrong"), unknown: of("unknown"), ...(await then(stats, signal)) };
    },
  };
}

/** Of a pass, after each page of entries, in shares of what the page took: it may not keep what is being settled from the processor. */
const REST = 3;
/** Of its interval. What is left to prove then is proven without a rest, so that passes do not fall behind what is settled. */
const RESTS_FOR = 0.8;

function proveSchedule(billing: Billing, { proveIntervalMs }: ScheduleSettings): Schedule {
  return {
    name: "prove",
    intervalMs: proveIntervalMs,
    firstDelayMs: 0,
    settings: { interval_ms: proveIntervalMs },
    run: async (signal) => {
      const begun = await readClock(billing.db);
      const proofs: Proof[] = [];
      const restsUntil = performance.now() + RESTS_FOR * proveIntervalMs;
      const rest = async (workedMs: number) => {
        const ms = Math.min(REST * workedMs, restsUntil - performance.now());
        if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {}); // told to stop
      };
      for (let shard = 0; shard < billing.numShards && !signal.aborted; shard++)
        proofs.push(await proveShard(billing, shard, rest));
      if (!signal.aborted) await alertUnaccounted(billing, proofs, begun);
      return { unaccounted: proofs.reduce((sum, { unaccounted }) => sum + unaccounted.length, 0) };
    },
  };
}

function reconcileSchedule(billing: Billing, { reconcileIntervalMs }: ScheduleSettings): Schedule {
  return {
    name: "reconcile",
    intervalMs: reconcileIntervalMs,
    firstDelayMs: Math.min(reconcileIntervalMs, HOUR_MS),
    settings: { interval_ms: reconcileIntervalMs },
    run: async (signal) => {
      const begun = await readClock(billing.db);
      const found = await reconcile(billing, { signal });
      // Cut short it has not seen every account, and resolves nothing.
      if (!signal.aborted) {
        await alertDrift(billing, found, begun);
        await endDoubts(billing, found, begun, signal);
      }
      return { ok: found.ok, accounts: found.accounts, findings: found.findings.length + found.left };
    },
  };
}

function verifyChainSchedule(billing: Billing, { verifyChainIntervalMs }: ScheduleSettings): Schedule {
  return {
    name: "verify-chain",
    intervalMs: verifyChainIntervalMs,
    firstDelayMs: Math.min(verifyChainIntervalMs, HOUR_MS),
    settings: { interval_ms: verifyChainIntervalMs },
    run: async (signal) => {
      const begun = await readClock(billing.db);
      const found = await verifyChain(billing, { signal });
      if (!signal.aborted) await alertChains(billing, found, begun);
      return { ok: found.ok, accounts: found.accounts, links: found.links, broken: found.broken };
    },
  };
}

/** First after an hour: whoever has just set it can still think better of it. */
function retentionSchedule(
  billing: Billing,
  { days, directory, intervalMs }: NonNullable<ScheduleSettings["retention"]>,
): Schedule {
  return {
    name: "retention",
    intervalMs,
    firstDelayMs: HOUR_MS,
    settings: { interval_ms: intervalMs, days, directory },
    run: async (signal) => {
      const before = new Date((await readClock(billing.db)).getTime() - days * 24 * HOUR_MS);
      const act = { actor: "schedule", role: "admin", reason: `older than RETENTION_DAYS=${days}` };
      const { files, deductions, cost, broken } = await retain(billing, { before, directory, signal }, act);
      return { before, files: files.length, deductions, cost, broken: broken.length };
    },
  };
}
