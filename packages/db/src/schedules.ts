// What runs by itself. A beat comes once a minute and cluster (graphile-worker's cron); it takes what is due and adds its job in
// the same statement, so that however many beats come, a run is asked for once. Whoever runs a schedule holds its advisory lock:
// two runs never overlap, and a process that was killed is not taken to run for ever.
import type { Db } from "./connect.ts";

export type ScheduleTiming = {
  name: string;
  intervalMs: number;
  /** From the first start, and from a start after a time in which no worker ran. */
  firstDelayMs: number;
  /** Shown to operators. */
  settings: Record<string, unknown>;
};

export type ScheduleState = {
  name: string;
  running: boolean;
  /** When the last run that ended began. */
  lastRunAt: Date | null;
  lastResult: Record<string, unknown> | null;
  nextRunAt: Date;
  settings: Record<string, unknown>;
};

const LOCK_CLASS = 0x53434844; // "SCHD"
const MINUTE_MS = 60_000;
/** A run that is this late was due while no worker ran; a beat takes seconds. */
const MISSED_MS = 2 * MINUTE_MS;

/** The task of graphile-worker that runs a schedule: a worker that does not know the schedule does not take its job. */
export function scheduleTask(name: string): string {
  return `schedule_${name}`;
}

/**
 * Enters the schedules, or brings their settings up to date. What is planned stays planned, so that frequent restarts delay
 * nothing, but never later than one interval from now; what was missed while no worker ran waits for its first delay again.
 */
export async function registerSchedules(db: Db, schedules: readonly ScheduleTiming[], at = new Date()): Promise<void> {
  const wholeMinute = (ms: number) => new Date(Math.ceil(ms / MINUTE_MS) * MINUTE_MS);
  await db.$client.query(
    `INSERT INTO data.schedule AS s (name, settings, next_run_at)
     SELECT name, settings, first FROM unnest($1::text[], $2::jsonb[], $3::timestamptz[]) AS given(name, settings, first) ORDER BY name
     ON CONFLICT (name) DO UPDATE SET settings = EXCLUDED.settings,
       next_run_at = CASE WHEN s.next_run_at < $4 THEN EXCLUDED.next_run_at
         ELSE least(s.next_run_at, (SELECT latest FROM unnest($1::text[], $5::timestamptz[]) AS most(name, latest) WHERE most.name = s.name)) END`,
    [
      schedules.map(({ name }) => name),
      schedules.map(({ settings }) => JSON.stringify(settings)),
      schedules.map(({ firstDelayMs }) => wholeMinute(at.getTime() + firstDelayMs)),
      new Date(at.getTime() - MISSED_MS),
      schedules.map(({ intervalMs }) => wholeMinute(at.getTime() + intervalMs)),
    ],
  );
}

/** Adds the jobs of what is due at the beat of `at`, and plans the next run of each. Returns their names. */
export async function takeDueSchedules(db: Db, schedules: readonly ScheduleTiming[], at: Date): Promise<string[]> {
  const { rows } = await db.$client.query<{ name: string }>(
    `WITH due AS (
       UPDATE data.schedule s SET next_run_at = $3::timestamptz + make_interval(secs => given.interval_ms / 1000)
         FROM unnest($1::text[], $2::float8[], $4::text[]) AS given(name, interval_ms, task)
        WHERE s.name = given.name AND s.next_run_at <= $3 RETURNING s.name, given.task)
     SELECT due.name FROM due, graphile_worker.add_job(due.task, job_key := due.task)`,
    [
      schedules.map(({ name }) => name),
      schedules.map(({ intervalMs }) => intervalMs),
      at,
      schedules.map(({ name }) => scheduleTask(name)),
    ],
  );
  return rows.map(({ name }) => name);
}

/**
 * Takes a run of a schedule that nobody did: it is late by `lateMs`, or the last one failed so long ago. Of any number who ask at once one
 * gets it, and plans the next. A schedule that is not entered yet is, for its first run after an interval.
 */
export async function takeOverdue(db: Db, schedule: ScheduleTiming, lateMs: number): Promise<boolean> {
  const { rows } = await db.$client.query<{ taken: boolean }>(
    `WITH taken AS (
       UPDATE data.schedule SET next_run_at = now() + make_interval(secs => $2::float8 / 1000)
        WHERE name = $1 AND (next_run_at < now() - make_interval(secs => $3::float8 / 1000)
           OR last_result->>'outcome' = 'failed' AND last_run_at < now() - make_interval(secs => $3::float8 / 1000))
       RETURNING name),
     entered AS (
       INSERT INTO data.schedule (name, settings, next_run_at)
       SELECT $1, $4::jsonb, now() + make_interval(secs => $2::float8 / 1000)
        WHERE NOT EXISTS (SELECT FROM data.schedule WHERE name = $1) ON CONFLICT DO NOTHING)
     SELECT EXISTS (SELECT FROM taken) AS taken`,
    [schedule.name, schedule.intervalMs, lateMs, JSON.stringify(schedule.settings)],
  );
  return rows[0]?.taken === true;
}

/** Adds a schedule's job now, besides what is planned. */
export async function runScheduleNow(db: Db, name: string): Promise<void> {
  await db.$client.query("SELECT graphile_worker.add_job($1::text, job_key := $1::text)", [scheduleTask(name)]);
}

/**
 * Runs `work` unless the schedule runs already, wherever that is, and keeps what it returns as the last result. Returns
 * whether it ran. Throws what Postgres throws; `work` must not throw.
 */
export async function runSchedule(
  db: Db,
  name: string,
  work: () => Promise<Record<string, unknown>>,
): Promise<boolean> {
  const client = await db.$client.connect();
  let broken: Error | undefined;
  try {
    const { rows } = await client.query<{ taken: boolean }>("SELECT pg_try_advisory_lock($1, hashtext($2)) AS taken", [
      LOCK_CLASS,
      name,
    ]);
    if (!rows[0]?.taken) return false;
    const began = new Date();
    const result = await work();
    await client.query(
      `WITH kept AS (UPDATE data.schedule SET last_run_at = $3, last_result = $4 WHERE name = $2)
       SELECT pg_advisory_unlock($1, hashtext($2))`,
      [LOCK_CLASS, name, began, JSON.stringify(result)],
    );
    return true;
  } catch (error) {
    // A connection that might still hold the lock must not return to the pool.
    broken = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Every schedule that a worker has entered, by name. */
export async function listSchedules(db: Db): Promise<ScheduleState[]> {
  const { rows } = await db.$client.query<ScheduleState>(
    `SELECT s.name, s.settings, s.last_run_at AS "lastRunAt", s.last_result AS "lastResult", s.next_run_at AS "nextRunAt",
            EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = $1
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND l.objid = (hashtext(s.name)::bigint & 4294967295)::oid) AS running
       FROM data.schedule s ORDER BY s.name`,
    [LOCK_CLASS],
  );
  return rows;
}
