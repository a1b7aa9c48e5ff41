// Alerts: one open row for each thing that is wrong, however many processes notice it. Each opening, worsening and resolving
// leaves an event beside it (by trigger, in the same transaction), which a worker posts to the webhook: the outbox.
import type { Db } from "./connect.ts";

export type AlertLevel = "warning" | "critical";

export type NewAlert = {
  level: AlertLevel;
  kind: string;
  /** What it is about: a shard, an account; empty for the whole system. */
  key: string;
  message: string;
  details: Record<string, unknown>;
};

/**
 * Opens an alert, or brings the open one of this kind and key up to date. Its level only rises while it is open, so that who
 * was told of a critical alert is told of its end.
 */
export async function openAlert(db: Db, alert: NewAlert): Promise<void> {
  await db.$client.query(
    `INSERT INTO data.alert (level, kind, key, message, details) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (kind, key) WHERE resolved_at IS NULL DO UPDATE SET
        level = CASE data.alert.level WHEN 'critical' THEN 'critical' ELSE EXCLUDED.level END,
        message = EXCLUDED.message, details = data.alert.details || EXCLUDED.details`,
    [alert.level, alert.kind, alert.key, alert.message, JSON.stringify(alert.details)],
  );
}

/** Closes the open alert of this kind and key, if there is one. */
export async function resolveAlert(db: Db, kind: string, key: string): Promise<void> {
  await db.$client.query(
    "UPDATE data.alert SET resolved_at = now() WHERE kind = $1 AND key = $2 AND resolved_at IS NULL",
    [kind, key],
  );
}

/** What is open now, the oldest first. Ids are 64-bit numbers as text. */
export async function listOpenAlerts(db: Db, limit = 1_000): Promise<(NewAlert & { id: string; openedAt: Date })[]> {
  const { rows } = await db.$client.query<NewAlert & { id: string; openedAt: Date }>(
    `SELECT id, level, kind, key, message, details, opened_at AS "openedAt" FROM data.alert WHERE resolved_at IS NULL
      ORDER BY opened_at, id LIMIT $1`,
    [limit],
  );
  return rows;
}

/** The clock by which alerts open. */
export async function readClock(db: Db): Promise<Date> {
  const { rows } = await db.$client.query<{ at: Date }>("SELECT clock_timestamp() AS at");
  if (rows[0] === undefined) throw new Error("the clock gave no row");
  return rows[0].at;
}

/**
 * Closes the open alerts of a kind whose keys are not among `keys`, and that were opened before `judgedFrom` (of `readClock`):
 * what was opened since was not part of what was judged.
 */
export async function resolveOthers(db: Db, kind: string, keys: readonly string[], judgedFrom: Date): Promise<void> {
  await db.$client.query(
    `UPDATE data.alert SET resolved_at = now() WHERE kind = $1 AND resolved_at IS NULL AND key <> ALL($2::text[]) AND opened_at < $3`,
    [kind, keys, judgedFrom],
  );
}

/** An event of the outbox with the alert as it is now. Ids are 64-bit numbers as text. */
export type AlertEvent = {
  id: string;
  event: "opened" | "worsened" | "resolved";
  /** The alert's at the event. */
  level: AlertLevel;
  createdAt: Date;
  /** Failed attempts to post it until now. */
  attempts: number;
  alert: NewAlert & { id: string; openedAt: Date; resolvedAt: Date | null };
};

/** What became of an event: posted, of no interest to anybody, or to be tried again. */
export type Delivery = { outcome: "posted" } | { outcome: "skipped" } | { retryInMs: number; error: string };

type EventRow = Omit<AlertEvent, "alert"> & {
  alertId: string;
  alertLevel: AlertLevel;
  kind: string;
  key: string;
  message: string;
  details: Record<string, unknown>;
  openedAt: Date;
  resolvedAt: Date | null;
};

/**
 * Hands the oldest event of an alert that is not posted to `deliver` and keeps what became of it, under the event's row lock:
 * of two that deliver at once, one gets it. Returns the delivery; undefined when nothing is left, not due, or another has it.
 * A crash in between leaves the event as it was: it is delivered again, with the same id.
 */
export async function deliverNext(
  db: Db,
  alertId: string,
  deliver: (event: AlertEvent) => Promise<Delivery>,
): Promise<Delivery | undefined> {
  const client = await db.$client.connect();
  let broken: Error | undefined;
  try {
    await client.query("BEGIN");
    const { rows } = await client.query<EventRow>(nextEvent, [alertId]);
    const [row] = rows;
    const delivery = row && (await deliver(readEvent(row)));
    if (row && delivery) await client.query(keepDelivery, [row.id, ...columnsOf(delivery)]);
    await client.query("COMMIT");
    return delivery;
  } catch (error) {
    await client.query("ROLLBACK").catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

// The oldest one alone, due or not: a later event never overtakes it.
const nextEvent = `
SELECT e.id, e.event, e.level, e.created_at AS "createdAt", e.attempts, a.id AS "alertId", a.level AS "alertLevel", a.kind, a.key,
       a.message, a.details, a.opened_at AS "openedAt", a.resolved_at AS "resolvedAt"
  FROM (SELECT * FROM data.alert_event WHERE id = (
          SELECT min(id) FROM data.alert_event WHERE alert_id = $1 AND outcome IS NULL)
          AND outcome IS NULL AND next_attempt_at <= now() FOR UPDATE SKIP LOCKED) e
  JOIN data.alert a ON a.id = e.alert_id`;

const keepDelivery = `
UPDATE data.alert_event SET outcome = $2, finished_at = CASE WHEN $2::text IS NULL THEN NULL ELSE now() END, attempts = attempts + $3,
       next_attempt_at = now() + make_interval(secs => $4::float8 / 1000), last_error = coalesce($5, last_error) WHERE id = $1`;

function columnsOf(delivery: Delivery): unknown[] {
  if ("outcome" in delivery) return [delivery.outcome, delivery.outcome === "posted" ? 1 : 0, 0, null];
  return [null, 1, delivery.retryInMs, delivery.error];
}

function readEvent(row: EventRow): AlertEvent {
  const { id, event, level, createdAt, attempts, alertId, alertLevel, ...alert } = row;
  return { id, event, level, createdAt, attempts, alert: { id: alertId, level: alertLevel, ...alert } };
}

/** Of each alert the oldest event that is not done: nothing of the alert is posted before it. */
const heads = `SELECT DISTINCT ON (alert_id) alert_id, next_attempt_at, attempts FROM data.alert_event WHERE outcome IS NULL ORDER BY alert_id, id`;

/** The alerts with an event whose time has come. */
export async function findDueAlerts(db: Db, limit = 1_000): Promise<string[]> {
  const { rows } = await db.$client.query<{ id: string }>(
    `SELECT alert_id AS id FROM (${heads}) h WHERE next_attempt_at <= now() ORDER BY alert_id LIMIT $1`,
    [limit],
  );
  return rows.map(({ id }) => id);
}

/** When the first of the events that failed is due again, which may be now; undefined when none failed. */
export async function findNextAttempt(db: Db): Promise<Date | undefined> {
  const { rows } = await db.$client.query<{ at: Date | null }>(
    `SELECT min(next_attempt_at) AS at FROM (${heads}) h WHERE attempts > 0`,
  );
  return rows[0]?.at ?? undefined;
}
