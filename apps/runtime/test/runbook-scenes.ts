/**
 * How the system comes into the state of each section of the runbook, in the order in which they are tried on one system. What a scene
 * leaves behind has to be in order: the next begins with a system without an alert.
 */
import { randomUUID } from "node:crypto";
import { type AccountRef, openHold, readStats, shardOf, streamKey } from "@drawdown/billing";
import type { RunbookStage } from "./runbook-stage.ts";

export type Pass = "monitoring" | "prove" | "reconcile" | "verify-chain";

export type Scene = {
  /** Brings the system into the state, up to the open alert. */
  given: (stage: RunbookStage) => Promise<unknown>;
  /** What stands for words in angle brackets that no command prints; may ask what was printed. */
  values?: (printed: string) => Record<string, string>;
  /** What the section tells people to do besides its commands, before them. */
  mend?: (stage: RunbookStage) => Promise<unknown>;
  /** After the commands: until they had their effect, and then the scheduled runs that close the alert. */
  passes?: readonly Pass[];
  drained?: boolean;
};

const balanceKey = ({ id, ownerId, type }: AccountRef) => `balance:{${streamKey(shardOf(id, 16))}}:${type}:${ownerId}`;
const keyOf = (account: AccountRef) => streamKey(shardOf(account.id, 16));

const NEVER = "ALTER TABLE data.usage_log ADD CONSTRAINT runbook_check CHECK (model <> 'gpt-never') NOT VALID";
const MENDED = "ALTER TABLE data.usage_log DROP CONSTRAINT runbook_check";

/** An account of a shard whose lag is known: Redis forgets the lag of a stream that an entry was deleted from. */
async function countedAccount(stage: RunbookStage): Promise<AccountRef> {
  const { shards } = await readStats(stage.billing);
  for (;;) {
    const account = await stage.account();
    if (shards.find(({ shard }) => shard === shardOf(account.id, shards.length))?.unsettled !== null) return account;
  }
}

/** An account with 100 units and five settled charges of one. */
async function settledAccount(stage: RunbookStage): Promise<AccountRef> {
  const account = await stage.account();
  await stage.charge(account, 5);
  await stage.settle();
  return account;
}

const older = (account: Pick<AccountRef, "id">, more: Record<string, string> = {}) => ({
  deduction_id: `ded_${randomUUID()}`,
  account_id: account.id,
  account_type: "user",
  virtual_key: "vk_old",
  cost: "1",
  provider: "openai",
  model: "gpt-4o",
  ...more,
});

let missing: AccountRef;

export const scenes: Record<string, Scene> = {
  "drift: redis_lost_state": {
    given: async (stage) => {
      const account = await settledAccount(stage);
      await stage.billing.redis.hset(balanceKey(account), { b: "9997000000000", d: "3000000000", q: "4" });
      await stage.pass("reconcile");
    },
    passes: ["reconcile"],
  },
  "drift: foreign_write": {
    given: async (stage) => {
      await stage.billing.redis.hincrby(balanceKey(await settledAccount(stage)), "b", 1);
      await stage.pass("reconcile");
    },
    passes: ["reconcile"],
  },
  "drift: fork": {
    given: async (stage) => {
      const account = await settledAccount(stage);
      await stage.billing.redis.hset(balanceKey(account), { b: "9996000000000", d: "4000000000", q: "5" });
      await stage.charge(account, 1);
      await stage.settle();
      await stage.pass("reconcile");
    },
    passes: ["reconcile"],
  },
  "drift: unknown": {
    given: async (stage) => {
      missing = await settledAccount(stage);
      const sql =
        "UPDATE data.account_balance SET balance = balance - 1, total_debits = total_debits + 1 WHERE id = $1";
      await stage.rows(sql, [missing.id]);
      await stage.pass("reconcile");
    },
    mend: (stage) => {
      const sql =
        "UPDATE data.account_balance SET balance = balance + 1, total_debits = total_debits - 1 WHERE id = $1";
      return stage.rows(sql, [missing.id]);
    },
    passes: ["reconcile"],
  },
  broken_chain: {
    given: async (stage) => {
      // The record of one charge is lost before it settles, as with a server; the next charge is there.
      const account = await settledAccount(stage);
      const { redis } = stage.billing;
      await stage.charge(account, 1);
      const [lost] = await redis.xrevrange(keyOf(account), "+", "-", "COUNT", 1);
      await redis.xdel(keyOf(account), lost?.[0] ?? "");
      await stage.charge(account, 1);
      await stage.settle();
      await stage.pass("verify-chain");
    },
    passes: ["verify-chain", "reconcile"],
  },
  oldest_unsettled: {
    // The entry waits since the beginning, and its holder is dead by now.
    given: async (stage) => {
      await stage.untilDead("dead-worker");
      await stage.pass("monitoring", "live-worker");
    },
    passes: ["monitoring"],
  },
  unaccounted: {
    given: async (stage) => {
      const account = await settledAccount(stage);
      await stage.charge(account, 2);
      await stage.ackUnwritten(account);
      await stage.pass("prove");
    },
    passes: ["prove"],
  },
  half_settled: {
    given: async (stage) => {
      const account = await settledAccount(stage);
      const [deduction] = await stage.charge(account, 1);
      await stage.ackUnwritten(account);
      await stage.rows(
        `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at,
            input_tokens, output_tokens, metadata_json, sync_status)
         VALUES ($1, 'vk_test', $2, 'user', 'openai', 'gpt-4o', 1, 'USD', now(), 10, 5, '{}', 'completed')`,
        [deduction, account.id],
      );
      await stage.pass("prove");
    },
    passes: ["prove"],
  },
  dead_letters: {
    given: async (stage) => {
      const account = await settledAccount(stage);
      missing = { id: randomUUID(), ownerId: randomUUID(), type: "user", currency: "USD" };
      await stage.add(account, older(missing));
      await stage.add(account, { hello: "world" });
      await stage.settle();
      await stage.pass("monitoring");
    },
    values: (printed) => ({ letter: /^(\d+)\s+open.* missing_\w+ /m.exec(printed)?.[1] ?? "none" }),
    mend: (stage) => stage.addAccount(missing),
    passes: ["monitoring"],
  },
  "dead_letters: a charge that can never settle": {
    given: async (stage) => {
      const account = await settledAccount(stage);
      await stage.rows(NEVER);
      await stage.charge(account, 1, { model: "gpt-never" });
      await stage.settle();
      await stage.pass("monitoring");
    },
    // The account of the letter: it is the last column.
    values: (printed) => ({ account: /^\d+\s+open.*\s([0-9a-f-]{36})$/m.exec(printed)?.[1] ?? "none" }),
    passes: ["monitoring"],
  },
  backlog: {
    given: async (stage) => {
      await stage.rows(MENDED);
      await stage.charge(await countedAccount(stage), 600);
      await stage.pass("monitoring", "live-worker");
    },
    drained: true,
    passes: ["monitoring"],
  },
  shard_imbalance: {
    given: async (stage) => {
      await stage.charge(await countedAccount(stage), 1_050);
      await stage.pass("monitoring", "live-worker");
    },
    drained: true,
    passes: ["monitoring"],
  },
  memory: {
    given: async (stage) => {
      await settledAccount(stage);
      const used = Number(/^used_memory:(\d+)/m.exec(await stage.billing.redis.info("memory"))?.[1]);
      await stage.billing.redis.config("SET", "maxmemory", String(Math.round(used / 0.7)));
      await stage.pass("monitoring");
    },
    mend: (stage) => stage.billing.redis.config("SET", "maxmemory", "1gb"),
    passes: ["monitoring"],
  },
  no_consumer: {
    // No worker runs: a gateway has to notice it, when the run of the workers is late.
    given: async (stage) => {
      stage.start(["gateway"]);
      await stage.charge(await stage.account(), 1);
      await stage.untilDead();
      await stage.rows(
        "UPDATE data.schedule SET next_run_at = now() - interval '31 seconds' WHERE name = 'monitoring'",
      );
      await stage.untilOpen("no_consumer");
    },
  },
  poison_rate: {
    given: async (stage) => {
      const account = await stage.account();
      missing = { id: randomUUID(), ownerId: randomUUID(), type: "user", currency: "USD" };
      for (let n = 0; n < 150; n++) await stage.add(account, older(n % 5 === 0 ? missing : account));
      stage.start(["worker"]);
      await stage.untilOpen("poison_rate");
    },
    mend: (stage) => stage.addAccount(missing),
  },
  served_not_captured: {
    given: async (stage) => {
      // Opened by a gateway that was killed: nobody extends or captures it.
      const hold = { virtualKey: "vk_test", provider: "openai", model: "gpt-4o", digest: "d", requestId: randomUUID() };
      const account = await settledAccount(stage);
      await openHold(stage.billing, { ...hold, account, amountNanos: 1_000_000_000n, ttlMs: 100, served: true });
      await stage.untilSwept();
    },
    values: (printed) => ({ account: /\s([0-9a-f]{8}-[0-9a-f-]{27})\s/.exec(printed)?.[1] ?? "none", amount: "-0.5" }),
    // A day passes.
    mend: (stage) => stage.rows("UPDATE data.uncaptured_hold SET expired_at = expired_at - interval '25 hours'"),
    passes: ["monitoring"],
  },
  postgres_went_back: {
    given: async (stage) => {
      missing = await settledAccount(stage);
      await stage.pass("prove");
      await stage.credit(missing, "5", "invoice 7");
      await stage.settle();
      await stage.pass("prove");
      await stage.restoreOlderCopy(missing, "5");
      await stage.pass("prove");
      await stage.applyCredit(missing);
    },
    values: () => ({ amount: "5", reference: "invoice 7" }),
    passes: ["prove", "reconcile"],
  },
  lost_epoch: {
    given: async (stage) => {
      await stage.settle();
      await stage.charge(await settledAccount(stage), 3);
      await stage.billing.redis.flushall();
      await stage.billing.fence.watch();
    },
    passes: ["prove", "reconcile"],
  },
};

/** What `oldest_unsettled` finds: an older producer's entry that a worker took, and died. */
export async function leaveOldEntry(stage: RunbookStage): Promise<void> {
  const account = await stage.account();
  await stage.billing.redis.xadd(keyOf(account), `${Date.now() - 400_000}-0`, ...Object.entries(older(account)).flat());
  await stage.deliver(account, "dead-worker");
}
