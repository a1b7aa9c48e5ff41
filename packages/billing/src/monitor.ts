// Judging the statistics: what is wrong opens an alert, what is fine again resolves it, and what cannot be known does neither.
// An unknown lag is no zero and no alarm: a limit is passed for certain when what is known passes it, and kept for certain only
// when everything is known.
import { setTimeout as sleep } from "node:timers/promises";
import { type AlertLevel, openAlert, resolveAlert } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { LIVE_MS } from "./claim.ts";
import { isActConsumer } from "./operations.ts";
import { releaseBrakes } from "./poison.ts";
import { fromBooks } from "./postgres.ts";
import { readStats, type ShardStats, type Stats } from "./stats.ts";

export type MonitorSettings = {
  /** More entries than these wait to be settled: `backlog`, critical at ten times as many. */
  backlog: number;
  /** The fullest shard has more than this times the unsettled entries of the emptiest: `shard_imbalance`. */
  shardImbalance: number;
  /** The oldest entry that is not settled is older: `oldest_unsettled`, critical at ten times the age. */
  oldestUnsettledMs: number;
  /** More dead letters than these are open: `dead_letters`, critical from a hundred more. */
  deadLetters: number;
  /** A server uses more of its `maxmemory`, 0 to 1: `memory`, critical from 80 %, where new charges are refused. */
  memoryShare: number;
  /** How long to wait before missing consumers are looked for once more: one that starts needs a moment. */
  confirmMs: number;
};

export const defaultMonitorSettings: MonitorSettings = {
  backlog: 50_000,
  shardImbalance: 10,
  oldestUnsettledMs: 300_000,
  deadLetters: 0,
  memoryShare: 0.6,
  confirmMs: 3_000,
};

/** Below this many unsettled entries on the fullest shard nobody minds how they are spread. */
const IMBALANCE_FROM = 1_000;
const CRITICAL = { times: 10, deadLetters: 100, memoryShare: 0.8 };

export type MonitoredKind =
  | "backlog"
  | "oldest_unsettled"
  | "shard_imbalance"
  | "dead_letters"
  | "no_consumer"
  | "memory";

export type Judgement = { kind: MonitoredKind } & (
  | { verdict: "fine" | "unknown" }
  | { verdict: "wrong"; level: AlertLevel; message: string; details: Record<string, unknown> }
);

/**
 * Reads the statistics, judges them, and opens and resolves the alerts of these kinds (with the key `""`). Returns what it
 * judged from and how. Throws `redis_unavailable` or `postgres_unavailable`: then nothing is judged.
 */
export async function monitor(
  billing: Billing,
  settings: Partial<MonitorSettings> = {},
  signal?: AbortSignal,
): Promise<{ stats: Stats; judgements: Judgement[] }> {
  const limits = { ...defaultMonitorSettings, ...settings };
  let stats = await readStats(billing);
  if (judgeConsumers(stats).verdict === "wrong" && limits.confirmMs > 0) {
    await sleep(limits.confirmMs, undefined, signal ? { signal } : {}).catch(() => {});
    stats = await readStats(billing);
  }
  await releaseBrakes(billing, new Map(stats.shards.map(({ shard, pending }) => [shard, pending])));
  const judgements = judge(stats, limits);
  for (const { kind, ...judgement } of judgements) {
    if (judgement.verdict === "fine") await fromBooks(resolveAlert(billing.db, kind, ""));
    if (judgement.verdict !== "wrong") continue;
    const { level, message, details } = judgement;
    await fromBooks(openAlert(billing.db, { level, kind, key: "", message, details }));
  }
  return { stats, judgements };
}

/** One judgement of each kind. */
export function judge(stats: Stats, limits: MonitorSettings): Judgement[] {
  return [
    judgeBacklog(stats, limits),
    judgeAge(stats, limits),
    judgeBalance(stats, limits),
    judgeLetters(stats, limits),
    judgeConsumers(stats),
    judgeMemory(stats, limits),
  ];
}

/** What is not settled for certain: of a shard with an unknown lag, only what was delivered. */
function leastUnsettled({ unsettled, pending }: ShardStats): number {
  return unsettled ?? pending;
}

function judgeBacklog({ shards, totals }: Stats, limits: MonitorSettings): Judgement {
  const kind = "backlog";
  const unsettled = shards.reduce((sum, shard) => sum + leastUnsettled(shard), 0);
  if (unsettled <= limits.backlog) return { kind, verdict: totals.unsettled === null ? "unknown" : "fine" };
  return {
    kind,
    verdict: "wrong",
    level: unsettled > limits.backlog * CRITICAL.times ? "critical" : "warning",
    message: `${totals.unsettled === null ? "At least " : ""}${unsettled} entries wait to be settled; the limit is ${limits.backlog}.`,
    details: {
      unsettled,
      limit: limits.backlog,
      settled_per_second: totals.settledPerSecond,
      drain_ms: totals.drainMs,
    },
  };
}

function judgeAge({ shards, totals }: Stats, limits: MonitorSettings): Judgement {
  const kind = "oldest_unsettled";
  const age = totals.oldestUnsettledMs;
  if (age === null || age <= limits.oldestUnsettledMs) return { kind, verdict: "fine" };
  const shard = shards.find((one) => one.oldestUnsettledMs === age)?.shard;
  return {
    kind,
    verdict: "wrong",
    level: age > limits.oldestUnsettledMs * CRITICAL.times ? "critical" : "warning",
    message: `An entry of shard ${shard} has waited to be settled for ${seconds(age)}; the limit is ${seconds(limits.oldestUnsettledMs)}.`,
    details: { age_ms: age, limit_ms: limits.oldestUnsettledMs, shard: shard ?? null },
  };
}

/** Of fewer than two shards there is nothing to compare; an empty shard counts as one entry, so that the factor is a number. */
function judgeBalance({ shards }: Stats, limits: MonitorSettings): Judgement {
  const kind = "shard_imbalance";
  const known = shards.filter((shard) => shard.unsettled !== null).toSorted(byUnsettled);
  const fullest = shards.toSorted(byUnsettled).at(-1);
  const emptiest = known[0];
  const otherwise: Judgement = { kind, verdict: known.length === shards.length ? "fine" : "unknown" };
  if (!fullest || !emptiest || fullest === emptiest || leastUnsettled(fullest) < IMBALANCE_FROM) return otherwise;
  const factor = leastUnsettled(fullest) / Math.max(1, leastUnsettled(emptiest));
  if (factor <= limits.shardImbalance) return otherwise;
  return {
    kind,
    verdict: "wrong",
    level: "warning",
    message: `Shard ${fullest.shard} has ${leastUnsettled(fullest)} unsettled entries, shard ${emptiest.shard} ${leastUnsettled(emptiest)}.`,
    details: {
      fullest: { shard: fullest.shard, unsettled: leastUnsettled(fullest) },
      emptiest: { shard: emptiest.shard, unsettled: leastUnsettled(emptiest) },
      factor: Math.round(factor * 10) / 10,
      limit: limits.shardImbalance,
    },
  };
}

function byUnsettled(a: ShardStats, b: ShardStats): number {
  return leastUnsettled(a) - leastUnsettled(b);
}

function judgeLetters({ totals }: Stats, limits: MonitorSettings): Judgement {
  const kind = "dead_letters";
  const open = totals.openDeadLetters;
  if (open <= limits.deadLetters) return { kind, verdict: "fine" };
  return {
    kind,
    verdict: "wrong",
    level: open >= limits.deadLetters + CRITICAL.deadLetters ? "critical" : "warning",
    message: `${open} dead ${open === 1 ? "letter is" : "letters are"} open.`,
    details: { open, limit: limits.deadLetters },
  };
}

/** A live worker shows itself on every shard, so a shard where something waits and no worker lives is settled by nobody. */
function judgeConsumers({ shards }: Stats): Judgement {
  const kind = "no_consumer";
  const left = shards.filter(
    ({ oldestUnsettledMs, consumers }) =>
      oldestUnsettledMs !== null && !consumers.some(({ name, idleMs }) => idleMs < LIVE_MS && !isActConsumer(name)),
  );
  if (left.length === 0) return { kind, verdict: "fine" };
  return {
    kind,
    verdict: "wrong",
    level: "critical",
    message: `Entries wait on ${left.length} of ${shards.length} shards, and no worker lives there.`,
    details: { shards: left.map(({ shard }) => shard) },
  };
}

/** With `maxmemory` 0 a percentage means nothing. */
function judgeMemory({ redis }: Stats, limits: MonitorSettings): Judgement {
  const kind = "memory";
  const { memoryShare: share, usedMemoryBytes, maxMemoryBytes } = redis;
  if (share === null) return { kind, verdict: maxMemoryBytes === 0 ? "fine" : "unknown" };
  if (share <= limits.memoryShare) return { kind, verdict: "fine" };
  const percent = (value: number) => `${Math.round(value * 100)} %`;
  return {
    kind,
    verdict: "wrong",
    level: share >= CRITICAL.memoryShare ? "critical" : "warning",
    message: `Redis uses ${percent(share)} of its maxmemory; new charges are refused from ${percent(CRITICAL.memoryShare)}.`,
    details: { share, limit: limits.memoryShare, used_bytes: usedMemoryBytes, max_bytes: maxMemoryBytes },
  };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
