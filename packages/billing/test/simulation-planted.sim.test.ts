import { afterAll, beforeAll, expect, test } from "vitest";
import { shardOf, streamKey } from "../src/index.ts";
import { runSeed, type SimulationOptions } from "./simulation.ts";
import { openStage, type Stage } from "./stage.ts";

const SHARDS = 4;
let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ numShards: SHARDS });
});
afterAll(() => stage.close());

test.each<[string, SimulationOptions["planted"] & object]>([
  [
    "an ack before the commit",
    {
      beforeCommit: (consumer) => {
        for (let shard = 0; shard < SHARDS; shard++) void ackAll(streamKey(shard), consumer);
      },
    },
  ],
  [
    "a top-up that sets the balance in Redis to that in Postgres",
    {
      afterCredit: async (account) => {
        const [row] = await stage.query<{ nanos: string }>(
          "SELECT trunc(balance * 1e9)::text AS nanos FROM data.account_balance WHERE id = $1",
          [account.id],
        );
        const key = `balance:{${streamKey(shardOf(account.id, SHARDS))}}:${account.type}:${account.ownerId}`;
        const set = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'b', ARGV[1]) end";
        await stage.billing.redis.eval(set, 1, key, row?.nanos ?? "0");
      },
    },
  ],
  [
    "a stream cut to its newest entries",
    {
      afterCharge: async (account) =>
        void (await stage.billing.redis.xtrim(streamKey(shardOf(account.id, SHARDS)), "MAXLEN", 3).catch(() => 0)),
    },
  ],
])("the simulation finds a planted bug: %s", { timeout: 120_000 }, async (_bug, planted) => {
  const problems = await runSeed({ stage, seed: 7, operations: 1_000, accounts: 20, counts: new Map(), planted });
  expect(problems.length).toBeGreaterThan(0);
});

async function ackAll(key: string, consumer: string): Promise<void> {
  const rows = await stage.billing.redis.xpending(key, "billing_workers", "-", "+", 1_000, consumer).catch(() => []);
  const ids = rows.map((row) => String(Array.isArray(row) ? row[0] : ""));
  if (ids.length > 0) await stage.billing.redis.xack(key, "billing_workers", ...ids);
}
