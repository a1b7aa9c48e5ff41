// What a charge costs: through packages/billing, against Redis alone, Postgres alone and the design that this replaces.
import { Worker } from "node:worker_threads";
import type { Billing } from "@drawdown/billing";
import { Redis } from "ioredis";
import { chargeInLanes, chargeNext, LANES, openCharging, ROUND_MS } from "./charge-load.ts";
import { postgresAlone, redisAlone, replacedDesign, type Side } from "./charge-opponents.ts";
import { type Family, judge, type Row } from "./rows.ts";
import type { Stack } from "./stack.ts";
import { alternate, median, percentile } from "./statistics.ts";

const ROUNDS = 3;
/** More for waits: what makes them long, a slow sync of the disk, comes a few times in a round or not at all. */
const WAIT_ROUNDS = 5;
const ACCOUNTS = 1_000;
const P99 = "charge_p99_vs_set";

type Opponent = { open: () => Promise<Side>; name: string; least: number };

export const charges: Family = {
  rows: ["charge_vs_redis", "charge_vs_postgres", "charge_vs_replaced", P99],
  measure: async (wanted) => {
    const { stack, billing, close } = await openCharging(ACCOUNTS);
    try {
      const { rows, perSecond } = await measureRates(stack, billing, wanted);
      return wanted.has(P99) ? [...rows, await measureWaits(stack, billing, perSecond / 2)] : rows;
    } finally {
      await close();
    }
  },
};

async function measureRates(stack: Stack, billing: Billing, wanted: ReadonlySet<string>) {
  const opponents: Record<string, Opponent> = {
    charge_vs_redis: {
      open: () => redisAlone(billing, stack.redisUrl, ROUND_MS),
      name: "redis-benchmark -P 32 -c 8, the script of one charge",
      least: 1.2,
    },
    charge_vs_postgres: {
      open: () => postgresAlone(stack.databaseUrl, ROUND_MS),
      name: "one Postgres transaction each, 8 connections",
      least: 20,
    },
    charge_vs_replaced: {
      open: () => replacedDesign(stack.redisUrl, LANES, ROUND_MS),
      name: "the replaced design",
      least: 3,
    },
  };
  const asked = Object.entries(opponents).filter(([row]) => wanted.has(row));
  const sides: Record<string, () => Promise<number>> = { ours: () => chargeInLanes(billing, ACCOUNTS) };
  const open: Side[] = [];
  for (const [row, opponent] of asked) {
    const side = await opponent.open();
    open.push(side);
    sides[row] = () => side.round();
  }
  const found = await alternate(ROUNDS, sides);
  await Promise.all(open.map((side) => side.close()));
  const perSecond = median(found.ours ?? []);
  const rows = asked.map(([row, { name, least }]) => {
    const theirs = median(found[row] ?? []);
    const against = `${perSecond.toFixed(0)} charges/s against ${theirs.toFixed(0)} by ${name}`;
    return judge(row, perSecond / theirs, against, { least });
  });
  return { rows, perSecond };
}

/** Arrivals at a steady rate, whether those before are answered or not. Returns the p99 from when each was due to its answer, in ms. */
async function waitAt(pace: Worker, perSecond: number, ask: () => Promise<unknown>): Promise<number> {
  const taken: number[] = [];
  const failures: unknown[] = [];
  const startedAt = performance.now();
  const dueBy = (now: number) => (Math.min(now - startedAt, ROUND_MS) * perSecond) / 1_000;
  let asked = 0;
  // Nothing else is kept of what was answered: it would be garbage of the measurement, for which the measured waits.
  for (let now = startedAt; now - startedAt < ROUND_MS || taken.length < asked; now = performance.now()) {
    for (; asked < dueBy(now); asked += 1) {
      const dueAt = startedAt + (asked * 1_000) / perSecond;
      ask().then(
        () => taken.push(performance.now() - dueAt),
        (error: unknown) => failures.push(error),
      );
    }
    if (failures.length > 0) throw new Error("a question failed", { cause: failures[0] });
    await new Promise((resolve) => pace.once("message", resolve));
  }
  return percentile(taken, 0.99);
}

async function measureWaits(stack: Stack, billing: Billing, perSecond: number): Promise<Row> {
  const redis = new Redis(stack.redisUrl);
  const pace = new Worker(new URL("./pace.ts", import.meta.url));
  let next = 0;
  const found = await alternate(WAIT_ROUNDS, {
    ours: () => waitAt(pace, perSecond, () => chargeNext(billing, ACCOUNTS)),
    set: () => waitAt(pace, perSecond, () => redis.set(`bare:${(next += 1)}`, "1")),
  });
  redis.disconnect();
  await pace.terminate();
  const [us, them] = [median(found.ours), median(found.set)];
  const against = `p99 ${us.toFixed(2)} ms against ${them.toFixed(2)} of a bare SET, both ${perSecond.toFixed(0)} times a second`;
  return judge(P99, us / them, against, { most: 3 });
}
