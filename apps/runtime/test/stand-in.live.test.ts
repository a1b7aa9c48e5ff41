import { once } from "node:events";
import { createServer } from "node:http";
import { type Billing, closeBilling, openBilling, streamKey } from "@drawdown/billing";
import { closeDb, connectDb, type Db, listSchedules, takeOverdue } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { judgingSchedule } from "../src/jobs/schedule-tasks.ts";
import { standIn } from "../src/jobs/stand-in.ts";

let database: TestDatabase;
let redis: TestRedis;
let db: Db;
let billing: Billing;
const closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  db = connectDb(database.url);
  billing = await openBilling({ redisUrl: redis.url, db });
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await closeBilling(billing);
  await closeDb(db);
  await Promise.all([redis.stop(), database.drop()]);
});

const MINUTE = 60_000;
const within = { timeoutMs: 20_000 };
const configOf = (settings: Record<string, string> = {}) =>
  readConfig(["database", "redis"], { DATABASE_URL: database.url, REDIS_URL: redis.url, ...settings });
const setState = (sql: string) => db.$client.query(`UPDATE data.schedule SET ${sql} WHERE name = 'monitoring'`);
const last = async () => (await listSchedules(db)).find(({ name }) => name === "monitoring")?.lastResult;
const alerts = async () =>
  (await db.$client.query<{ kind: string }>("SELECT kind FROM data.alert WHERE resolved_at IS NULL")).rows.map(
    ({ kind }) => kind,
  );

/** As a gateway does, more impatient. Returns what failed. */
function startStandIn(settings: Record<string, string> = {}, lateMs = 30_000) {
  const closing = new AbortController();
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const ended = standIn({ billing, config: configOf(settings), signal: closing.signal, onError, everyMs: 50, lateMs });
  closers.push(async () => {
    closing.abort();
    await ended;
  });
  return errors;
}

describe("a gateway where no worker does the monitoring", () => {
  test("Section 5: says that no worker lives, and posts it; the webhook is asked again until it answers", async () => {
    const posts: string[] = [];
    const server = createServer((request, response) => {
      request.on("data", (bytes) => posts.push(String(bytes)));
      request.on("end", () => response.writeHead(posts.length === 1 ? 503 : 204).end());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(async () => server.close());
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`;
    await billing.redis.xadd(streamKey(0), "*", "waits", "for a worker");
    const errors = startStandIn({ ALERT_WEBHOOK_URL: url });
    // The first look enters the schedule; what is due from then on is not late yet.
    await waitFor(async () => (await listSchedules(db)).length === 1, { ...within, what: "the schedule" });
    expect(await last()).toBeNull();
    await setState("next_run_at = now() - interval '31 seconds'");
    await waitFor(async () => posts.length === 2, { ...within, what: "the alert to be posted twice" });
    expect(JSON.parse(posts[1] ?? "")).toMatchObject({ event: "opened", alert: { kind: "no_consumer" } });
    expect(await alerts()).toEqual(["no_consumer"]);
    await waitFor(last, { ...within, what: "the run to be kept" });
    expect(await last()).toMatchObject({ outcome: "done", wrong: ["no_consumer"], by: "gateway" });
    expect(errors).toEqual([]);
  });

  test("Section 5: leaves monitoring to workers while they do it, and takes over one that failed", async () => {
    const errors = startStandIn();
    await waitFor(async () => (await listSchedules(db)).length === 1, { ...within, what: "the schedule" });
    await setState("next_run_at = now() - interval '20 seconds'");
    // A worker that is cut off from its Redis plans its runs, and they fail.
    const failed = `last_result = '{"outcome": "failed"}'`;
    await setState(`${failed}, last_run_at = now() - interval '20 seconds'`);
    const looks = async () => {
      const { rows } = await db.$client.query<{ n: string }>(
        "SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()",
      );
      return Number(rows[0]?.n);
    };
    const before = await looks();
    await waitFor(async () => (await looks()) > before + 5, { ...within, what: "some more looks" });
    expect(await last()).toEqual({ outcome: "failed" });
    await setState("last_run_at = now() - interval '31 seconds'");
    await waitFor(async () => (await last())?.["outcome"] === "done", { ...within, what: "a run that succeeds" });
    expect(errors).toEqual([]);
  });

  test("Section 5: of ten gateways that look at once, one does it", async () => {
    const schedule = judgingSchedule(billing, configOf({ MONITOR_INTERVAL_MINUTES: "2" }));
    const takeAll = async () =>
      (await Promise.all(Array.from({ length: 10 }, () => takeOverdue(db, schedule, MINUTE)))).filter(Boolean).length;
    expect(await takeAll()).toBe(0);
    await setState("next_run_at = now() - interval '61 seconds'");
    expect(await takeAll()).toBe(1);
    expect(await takeAll()).toBe(0);
    const [state] = await listSchedules(db);
    const inMs = (state?.nextRunAt.getTime() ?? 0) - Date.now();
    expect(inMs).toBeGreaterThan(MINUTE);
    expect(inMs).toBeLessThanOrEqual(2 * MINUTE);
  });

  test("Section 5: a store that is away fails the look, and the next comes at its time", async () => {
    const errors = startStandIn({}, 100);
    await waitFor(async () => (await listSchedules(db)).length === 1, { ...within, what: "the schedule" });
    await redis.kill();
    await setState("next_run_at = now() - interval '1 second'");
    await waitFor(async () => (await last())?.["outcome"] === "failed", { ...within, what: "the failure" });
    expect(errors.length).toBeGreaterThan(0);
    await redis.restart();
    await waitFor(async () => (await last())?.["outcome"] === "done", { ...within, what: "a run that succeeds" });
  });
});
