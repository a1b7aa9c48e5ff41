// Is it healthy? What is wrong, worst first, each with the place to look at. What is not known is no fault, and is never called healthy:
// it is a finding of its own.
import type { OverviewFrame } from "@/server/overview-router.ts";

type Frame = Pick<OverviewFrame, "streams" | "books">;

/** Names a text of "overview.finding". */
export type FindingKind =
  | "redisDown"
  | "postgresDown"
  | "fenced"
  | "noWorker"
  | "criticalAlerts"
  | "warnings"
  | "late"
  | "memory"
  | "deadLetters"
  | "unknownLag"
  | "scheduleFailed"
  | "noSchedule";

export type Finding = {
  kind: FindingKind;
  tone: "critical" | "warning";
  href: string;
  count?: number;
  name?: string;
};

/** An entry is settled within milliseconds; operators are called after minutes. */
export const LATE_MS = 30_000;
const MEMORY_SHARE = 0.6;
const MEMORY_CRITICAL = 0.8;

export function findingsOf(frame: Frame): Finding[] {
  const found = [...faults(frame), ...inStreams(frame), ...inBooks(frame)];
  return found.toSorted((a, b) => Number(a.tone === "warning") - Number(b.tone === "warning"));
}

/** The stores that are away now; what is shown of them is what they told last. */
function faults({ streams, books }: Frame): Finding[] {
  const away = new Set([streams.fault, books.fault]);
  return [
    ...(away.has("redis_unavailable") ? [critical("redisDown", "/streams")] : []),
    ...(away.has("postgres_unavailable") ? [critical("postgresDown", "/alerts")] : []),
    ...(away.has("fenced") ? [critical("fenced", "/alerts")] : []),
  ];
}

function inStreams({ streams: { value, fault } }: Frame): Finding[] {
  if (value === null || fault !== null) return [];
  const { shards, totals, redis } = value;
  const found: Finding[] = [];
  if (liveWorkers(value) === 0) found.push(critical("noWorker", "/streams"));
  if ((totals.oldestUnsettledMs ?? 0) > LATE_MS) found.push({ kind: "late", tone: "warning", href: "/streams" });
  const unknown = shards.filter(({ unsettled }) => unsettled === null).length;
  if (unknown > 0) found.push({ kind: "unknownLag", tone: "warning", href: "/streams", count: unknown });
  const share = redis.memoryShare ?? 0;
  if (share > MEMORY_SHARE)
    found.push({ kind: "memory", tone: share >= MEMORY_CRITICAL ? "critical" : "warning", href: "/streams" });
  return found;
}

function inBooks({ books: { value, fault } }: Frame): Finding[] {
  if (value === null || fault !== null) return [];
  const { figures, schedules } = value;
  const found: Finding[] = [];
  const { openAlerts } = figures;
  if (openAlerts.critical > 0) found.push({ ...critical("criticalAlerts", "/alerts"), count: openAlerts.critical });
  if (openAlerts.warning > 0)
    found.push({ kind: "warnings", tone: "warning", href: "/alerts", count: openAlerts.warning });
  const letters = figures.deadLetters.reduce((sum, one) => sum + one.letters.count, 0);
  if (letters > 0) found.push({ kind: "deadLetters", tone: "warning", href: "/dead-letters", count: letters });
  for (const { name, lastResult } of schedules)
    if (lastResult?.["outcome"] === "failed")
      found.push({ kind: "scheduleFailed", tone: "warning", href: "#schedules", name });
  if (schedules.length === 0) found.push({ kind: "noSchedule", tone: "warning", href: "#schedules" });
  return found;
}

function critical(kind: FindingKind, href: string): Finding {
  return { kind, tone: "critical", href };
}

/** Workers that showed life within seconds; each is a consumer on every shard. */
export function liveWorkers({ shards }: NonNullable<Frame["streams"]["value"]>): number {
  const names = shards.flatMap(({ consumers }) => consumers.filter(({ live, act }) => live && !act));
  return new Set(names.map(({ name }) => name)).size;
}
