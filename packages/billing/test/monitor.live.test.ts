import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type AccountRef,
  chargeMany,
  GROUP,
  type MonitorSettings,
  monitor,
  proveShard,
  readPendingAges,
  readProven,
  readStats,
  readStreams,
  type Stats,
  shardOf,
  streamKey,
} from "../src/index.ts";
import { defaultMonitorSettings, judge } from "../src/monitor.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const look = (settings: Partial<MonitorSettings> = {}) => monitor(stage.billing, { confirmMs: 0, ...settings });
const open = async () =>
  await stage.query<{ kind: string; level: string }>(
    "SELECT kind, level FROM data.alert WHERE resolved_at IS NULL ORDER BY kind",
  );
const verdict = async (kind: string, settings: Partial<MonitorSettings> = {}) =>
  (await look(settings)).judgements.find((judgement) => judgement.kind === kind)?.verdict;
const chargeTimes = async (account: AccountRef, times: number) =>
  await chargeMany(
    stage.billing,
    Array.from({ length: times }, () => aCharge(account, 1n)),
  );
const workUntilRest = async () => {
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
};
/** An older producer's entry that was appended `ageMs` ago. */
const oldEntry = async (account: AccountRef, ageMs: number) => {
  const fields = {
    deduction_id: `ded_old_${ageMs}`,
    account_id: account.id,
    account_type: "user",
    virtual_key: "vk_old",
    cost: "0.000000001",
    provider: "openai",
    model: "gpt-4o",
  };
  const id = `${Date.now() - ageMs}-0`;
  await stage.billing.redis.xadd(streamKey(shardOf(account.id, 16)), id, ...Object.entries(fields).flat());
};

/** Every number in a value that is none: JSON would say null of it. */
function oddNumbers(value: unknown): number[] {
  if (typeof value === "number") return Number.isFinite(value) ? [] : [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(oddNumbers) : [];
}

describe("an empty system", () => {
  test("Section 4, rule 10: it raises no alert, and everything about it is known", async () => {
    const { judgements, stats } = await look();
    expect(judgements.map(({ verdict: found }) => found)).toEqual(["fine", "fine", "fine", "fine", "fine", "fine"]);
    expect(await stage.query("SELECT 1 FROM data.alert")).toEqual([]);
    expect(stats.totals).toMatchObject({ lag: 0, unsettled: 0, oldestUnsettledMs: null, drainMs: 0 });
  });

  test("Section 6: min/max over no shards gives no ±Infinity", async () => {
    const stats = await readStats(stage.billing);
    const none: Stats = { ...stats, shards: [] };
    expect(oddNumbers(stats)).toEqual([]);
    const judgements = judge(none, { ...defaultMonitorSettings, backlog: 0, shardImbalance: 0 });
    expect(oddNumbers(judgements)).toEqual([]);
    expect(judgements.filter(({ verdict: found }) => found !== "fine")).toEqual([]);
  });
});

describe("Section 6: the monitor reads fields that the statistics have: each alert opens from what is really so, and resolves by itself", () => {
  test("backlog and no_consumer: entries that nobody settles, until a worker does", async () => {
    const account = await stage.account("100");
    await chargeTimes(account, 5);
    await look({ backlog: 5 });
    expect(await open()).toEqual([
      { kind: "backlog", level: "warning" },
      { kind: "no_consumer", level: "critical" },
    ]);
    await look({ backlog: 6 }); // 5 deductions and the link of the opening credit
    expect(await open()).toEqual([{ kind: "no_consumer", level: "critical" }]);
    const worker = stage.worker();
    await stage.atRest();
    await look({ backlog: 0 });
    expect(await open()).toEqual([]);
    await worker.stop();
  });

  test("no_consumer: an act that holds entries is no worker", async () => {
    const account = await stage.account("100");
    await chargeTimes(account, 1);
    const key = streamKey(shardOf(account.id, 16));
    await stage.billing.redis.xgroup("CREATE", key, "billing_workers", "0");
    const touch = (name: string) =>
      stage.billing.redis.xreadgroup("GROUP", "billing_workers", name, "COUNT", 1, "STREAMS", key, ">");
    await touch(`replay-${randomUUID()}`);
    expect(await verdict("no_consumer")).toBe("wrong");
    await touch("replay-of-my-host-1"); // a name that an operator may give a worker
    expect(await verdict("no_consumer")).toBe("fine");
  });

  test("no_consumer: one that is starting is waited for", async () => {
    await chargeTimes(await stage.account("100"), 1);
    const watched = monitor(stage.billing, { confirmMs: 3_000 }, AbortSignal.timeout(60_000));
    const worker = stage.worker();
    await stage.atRest();
    expect((await watched).judgements).toContainEqual({ kind: "no_consumer", verdict: "fine" });
    expect(await stage.query("SELECT 1 FROM data.alert")).toEqual([]);
    await worker.stop();
  });

  test("oldest_unsettled: a warning, critical at ten times the age, delivered or not", async () => {
    const account = await stage.account("100");
    await oldEntry(account, 3_100_000);
    await look();
    expect(await open()).toContainEqual({ kind: "oldest_unsettled", level: "critical" });
    await workUntilRest();
    await look();
    expect(await open()).toEqual([]);
    const other = await stage.account("100");
    await oldEntry(other, 400_000);
    const key = streamKey(shardOf(other.id, 16));
    await stage.billing.redis.xgroup("CREATE", key, "billing_workers", "0").catch(() => undefined);
    await stage.billing.redis.xreadgroup("GROUP", "billing_workers", "dead", "COUNT", 1, "STREAMS", key, ">");
    await look();
    expect(await open()).toContainEqual({ kind: "oldest_unsettled", level: "warning" });
  });

  test("shard_imbalance: over ten times, and only when the fullest shard has 1,000 unsettled entries", async () => {
    const account = await stage.account("100");
    await chargeTimes(account, 998);
    expect(await verdict("shard_imbalance")).toBe("fine");
    await chargeTimes(account, 1);
    await look();
    expect(await open()).toContainEqual({ kind: "shard_imbalance", level: "warning" });
    expect(await verdict("shard_imbalance", { shardImbalance: 1_000 })).toBe("fine");
    expect(await open()).not.toContainEqual({ kind: "shard_imbalance", level: "warning" });
    await look();
    await workUntilRest();
    await look(); // the entries are still in the stream, and settled
    expect(await open()).toEqual([]);
  });

  test("dead_letters: open ones alone, critical from a hundred more than are allowed", async () => {
    for (let i = 0; i < 101; i++) await stage.billing.redis.xadd(streamKey(i % 16), "*", "hello", String(i));
    await workUntilRest();
    await look({ deadLetters: 2 });
    expect(await open()).toEqual([{ kind: "dead_letters", level: "warning" }]);
    await look();
    expect(await open()).toEqual([{ kind: "dead_letters", level: "critical" }]);
    await stage.query("UPDATE data.dead_letter SET state = 'discarded'");
    await look();
    expect(await open()).toEqual([]);
  });

  test("memory: a share of maxmemory, and nothing when there is no limit", async () => {
    const { redis } = stage.billing;
    const used = (await readStats(stage.billing)).redis.usedMemoryBytes ?? 0;
    expect(used).toBeGreaterThan(0);
    await redis.config("SET", "maxmemory", String(Math.round(used / 0.7)));
    await look();
    expect(await open()).toEqual([{ kind: "memory", level: "warning" }]);
    await redis.config("SET", "maxmemory", String(Math.round(used / 0.85)));
    await look();
    expect(await open()).toEqual([{ kind: "memory", level: "critical" }]);
    await redis.config("SET", "maxmemory", "0");
    await look();
    expect(await open()).toEqual([]);
  });
});

describe("Section 4, rule 10: unknown is not zero", () => {
  test("an unknown lag opens nothing and resolves nothing, and is unknown in the totals", async () => {
    const account = await stage.account("100");
    const key = streamKey(shardOf(account.id, 16));
    await chargeTimes(account, 8);
    await look({ backlog: 5 });
    expect(await open()).toContainEqual({ kind: "backlog", level: "warning" });
    // Redis loses count when an entry that was never delivered is removed.
    await stage.billing.redis.xgroup("CREATE", key, "billing_workers", "0");
    const [, second] = await stage.billing.redis.xrange(key, "-", "+");
    await stage.billing.redis.xdel(key, second?.[0] ?? "");
    const { stats, judgements } = await look({ backlog: 5 });
    expect(stats.totals).toMatchObject({ lag: null, unsettled: null, drainMs: null });
    expect(judgements).toContainEqual({ kind: "backlog", verdict: "unknown" });
    expect(judgements).toContainEqual({ kind: "shard_imbalance", verdict: "unknown" });
    expect(await open()).toContainEqual({ kind: "backlog", level: "warning" });
    await stage.query("UPDATE data.alert SET resolved_at = now()");
    await look({ backlog: 5 });
    expect(await open()).toEqual([{ kind: "no_consumer", level: "critical" }]);
    // What was delivered is known, and passes the limit for certain.
    await stage.billing.redis.xreadgroup("GROUP", "billing_workers", "dead", "COUNT", 6, "STREAMS", key, ">");
    await look({ backlog: 5 });
    expect(await open()).toContainEqual({ kind: "backlog", level: "warning" });
  });
});

describe("statistics", () => {
  test("the drain time is what waits at the rate of settling, and unknown while nothing is settled", async () => {
    const account = await stage.account("100");
    await chargeTimes(account, 20);
    expect((await readStats(stage.billing)).totals).toMatchObject({
      unsettled: 21,
      settledPerSecond: 0,
      drainMs: null,
    });
    await workUntilRest();
    await chargeTimes(account, 4);
    const { totals } = await readStats(stage.billing);
    expect(totals).toMatchObject({ unsettled: 4, settledPerSecond: 2 });
    expect(totals.drainMs).toBe(2_000);
  });

  test("7 what is pending is told by age, to the last entry, and beside it how far each shard is proven", async () => {
    const account = await stage.account("100");
    const shard = shardOf(account.id, 16);
    for (const ageMs of [700_000, 120_000, 90_000, 30_000]) await oldEntry(account, ageMs);
    await stage.billing.redis.xgroup("CREATE", streamKey(shard), GROUP, "0", "MKSTREAM");
    await stage.billing.redis.xreadgroup("GROUP", GROUP, "gone", "COUNT", 10, "STREAMS", streamKey(shard), ">");
    const { shards } = await readStreams(stage.billing);
    expect(await readPendingAges(stage.billing, shards, [60_000, 600_000])).toEqual({ counts: [1, 2, 1], unread: 0 });
    expect(shards[shard]?.consumers).toMatchObject([{ name: "gone", live: true, act: false, pending: 4 }]);
    expect(shards[shard]?.entriesAdded).toBe(4);
    const [first] = await stage.billing.redis.xpending(streamKey(shard), GROUP, "-", "+", 1);
    await stage.billing.redis.xack(streamKey(shard), GROUP, String((first as unknown[])[0]));
    await proveShard(stage.billing, shard);
    const proven = await readProven(stage.billing);
    expect(proven[shard]).toEqual({ shard, mark: String((first as unknown[])[0]), unaccounted: 1 });
    expect(proven[(shard + 1) % 16]).toMatchObject({ mark: "0-0", unaccounted: 0 });
  });

  test("each shard has its memory, and each consumer its idle time and, where the server tells, its inactive time", async () => {
    const account = await stage.account("100");
    await chargeTimes(account, 1);
    await workUntilRest();
    const shard = (await readStats(stage.billing)).shards[shardOf(account.id, 16)];
    expect(shard?.memoryBytes).toBeGreaterThan(0);
    const [consumer] = shard?.consumers ?? [];
    expect(consumer).toMatchObject({ name: "worker-1", pending: 0 });
    expect(consumer?.idleMs).toBeGreaterThanOrEqual(0);
    const version = /^redis_version:(\d+)\.(\d+)/m.exec(await stage.billing.redis.info("server"));
    const tells = Number(version?.[1]) * 100 + Number(version?.[2]) >= 702;
    expect(typeof consumer?.inactiveMs).toBe(tells ? "number" : "object");
  });
});
