// What to look at and what to do, by kind of alert: the sections of docs/runbook.md in short. A test keeps them in step.

export const ADVICE = [
  "backlog",
  "oldest_unsettled",
  "shard_imbalance",
  "dead_letters",
  "no_consumer",
  "memory",
  "unaccounted",
  "drift_redis_lost_state",
  "drift_foreign_write",
  "drift_fork",
  "drift_unknown",
  "broken_chain",
  "lost_epoch",
  "postgres_went_back",
  "poison_rate",
  "served_not_captured",
] as const;

/** Names a text of "alerts.advice". */
export type Advice = (typeof ADVICE)[number];

/** Undefined for a kind that a newer version opened. */
export function adviceOf({ kind, details }: { kind: string; details: Record<string, unknown> }): Advice | undefined {
  const driftClass = typeof details["class"] === "string" ? details["class"] : "unknown";
  const name = kind === "drift" ? `drift_${driftClass}` : kind;
  return ADVICE.find((one) => one === name);
}
