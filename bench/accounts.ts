// What accounts cost by being many: their memory in Redis, and the charges that go on beside them.
import type { Billing } from "@drawdown/billing";
import { Redis } from "ioredis";
import { addAccounts, chargeInLanes, openCharging } from "./charge-load.ts";
import { type Family, judge, type Row } from "./rows.ts";
import { alternate, median } from "./statistics.ts";

const FEW = 1_000;
const MANY = 1_000_000;
const WEIGHED = 100_000;
const ROUNDS = 3;
const BYTES = "redis_bytes_per_account";
const THROUGHPUT = "throughput_1m_vs_1k";

export const accounts: Family = {
  rows: [BYTES, THROUGHPUT],
  measure: async (wanted) => {
    const { stack, billing, close } = await openCharging(FEW);
    const redis = new Redis(stack.redisUrl);
    try {
      const rows: Row[] = [];
      const bytes = await weighAccounts(redis, billing);
      const against = `of memory for each of ${WEIGHED} loaded accounts`;
      if (wanted.has(BYTES)) rows.push(judge(BYTES, bytes, against, { most: 256 }));
      if (wanted.has(THROUGHPUT)) rows.push(await measureThroughput(billing));
      return rows;
    } finally {
      redis.disconnect();
      await close();
    }
  },
};

/** Bytes of used memory that each account adds: its name, its fields and its share of Redis' own table. */
async function weighAccounts(redis: Redis, billing: Billing): Promise<number> {
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info("memory"))?.[1]);
  const before = await used();
  await addAccounts(billing, FEW, FEW + WEIGHED);
  return ((await used()) - before) / WEIGHED;
}

/** All accounts are there in both: that the few are charged faster is what their being few does. */
async function measureThroughput(billing: Billing): Promise<Row> {
  await addAccounts(billing, FEW + WEIGHED, MANY);
  const found = await alternate(ROUNDS, {
    many: () => chargeInLanes(billing, MANY),
    few: () => chargeInLanes(billing, FEW),
  });
  const [many, few] = [median(found.many), median(found.few)];
  const against = `${many.toFixed(0)} charges/s over ${MANY} accounts against ${few.toFixed(0)} over ${FEW}`;
  return judge(THROUGHPUT, many / few, against, { least: 0.9 });
}
