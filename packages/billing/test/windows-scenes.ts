// For each named point of the path: what leads a process there, and what must be asked again after it died.
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@drawdown/local-stack";
import {
  type AccountRef,
  type Billing,
  type ChargeRequest,
  charge,
  closeBilling,
  type ObservePoint,
  openBilling,
  repair,
  runOperation,
  shardOf,
  startReplay,
  streamKey,
} from "../src/index.ts";
import { balanceKey } from "../src/keys.ts";
import { readExport } from "../src/retention-file.ts";
import { type Role, retainAll } from "./dying-roles.ts";
import { aCharge, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;
const GROUP = "billing_workers";
const act = { actor: "tester", role: "admin", reason: "a window" };

/** An account with 100 units, and what was done to it. */
export class Scene {
  readonly stage: Stage;
  readonly account: AccountRef;
  /** Every charge of one unit that was sent: asked again after the crash, each must be in the books once. */
  readonly requests: ChargeRequest[] = [];
  creditedNanos = 100n * UNIT;
  letters = 0;
  alerts: string[] = [];
  /** What is to be done before everything is looked at. */
  heal: (billing: Billing) => Promise<void> = async () => {};
  /** Requests whose rows left the books for a file. */
  exported: () => Promise<{ request_id: string }[]> = async () => [];

  constructor(stage: Stage, account: AccountRef) {
    this.stage = stage;
    this.account = account;
  }

  get streamKey(): string {
    return streamKey(shardOf(this.account.id, 16));
  }

  get balanceKey(): string {
    return balanceKey(shardOf(this.account.id, 16), this.account.type, this.account.ownerId);
  }

  async charge(times: number): Promise<void> {
    for (let i = 0; i < times; i++) await charge(this.stage.billing, this.request());
  }

  request(): ChargeRequest {
    const request = aCharge(this.account, UNIT);
    this.requests.push(request);
    return request;
  }

  gateway(): Role {
    const { costNanos, ...request } = this.request();
    return { role: "gateway", request: { ...request, cost: costNanos.toString() } };
  }

  async settle(): Promise<void> {
    const worker = this.stage.worker();
    await this.stage.drained();
    await worker.stop();
  }

  /** Everything new is delivered to a consumer that does nothing with it. */
  async deliverTo(consumer: string): Promise<string[]> {
    const { redis } = this.stage.billing;
    await redis.xgroup("CREATE", this.streamKey, GROUP, "0", "MKSTREAM").catch(() => {}); // it is there already
    const reply = await redis.xreadgroup("GROUP", GROUP, consumer, "COUNT", 1_000, "STREAMS", this.streamKey, ">");
    const [[, entries] = ["", []]] = (reply ?? []) as [string, [string, string[]][]][];
    return entries.map(([id]) => id);
  }

  /** A replay of entries that an older worker acked and did not write. */
  async replay(): Promise<Role> {
    await this.charge(5);
    await this.stage.billing.redis.xack(this.streamKey, GROUP, ...(await this.deliverTo("older-worker")));
    const { operationId } = await startReplay(this.stage.billing, { kind: "unaccounted" }, act);
    if (operationId === null) throw new Error("nothing to replay");
    const run = async (billing: Billing) => await runOperation(billing, operationId, new AbortController().signal);
    // Postgres has the lock of the dead one until it sees that its connection is gone.
    this.heal = async (billing) => {
      await waitFor(async () => (await run(billing)) === "finished", { timeoutMs: 15_000, what: "the act to be over" });
    };
    return { role: "replay", operationId };
  }

  /** A run of retention, of three files. */
  async retention(): Promise<Role> {
    await this.charge(7);
    await this.settle();
    const directory = await mkdtemp(join(tmpdir(), "windows-"));
    this.heal = (billing) => retainAll(billing, directory, act);
    this.exported = async () => {
      const names = (await readdir(join(directory, "usage_log"))).filter((name) => name.endsWith(".gz"));
      const rows: { request_id: string }[] = [];
      for (const name of names)
        for await (const { usage } of readExport(directory, join("usage_log", name)))
          if (usage !== null) rows.push({ request_id: String(usage["request_id"]) });
      await rm(directory, { recursive: true });
      if (rows.length !== this.requests.length - 1) throw new Error(`${rows.length} rows were exported`);
      return rows;
    };
    return { role: "retention", directory, act };
  }

  /** A repair of a balance that somebody wrote by hand. */
  async repair(): Promise<Role> {
    await this.charge(3);
    await this.settle();
    const wrong = (97n * UNIT + 1n).toString();
    await this.stage.billing.redis.hset(this.balanceKey, "b", wrong);
    this.heal = async (billing) => {
      await repair(billing, this.account, act);
    };
    return { role: "repair", account: this.account, act: { ...act, id: randomUUID() } };
  }
}

type Arrange = (scene: Scene) => Promise<Role> | Role;

const charged =
  (settings = {}): Arrange =>
  async (scene) => {
    await scene.charge(5);
    return { role: "worker", consumer: "worker-1", settings };
  };

const cold: Arrange = async (scene) => {
  await scene.charge(3);
  await scene.stage.billing.redis.del(scene.balanceKey);
  return scene.gateway();
};

const credited: Arrange = async (scene) => {
  await scene.charge(2);
  await scene.stage.query("UPDATE data.account_balance SET balance = balance + 10 WHERE id = $1", [scene.account.id]);
  scene.creditedNanos += 10n * UNIT;
  return { role: "listener" };
};

const charges: Arrange = (scene) => scene.gateway();
const replayed: Arrange = (scene) => scene.replay();
const repaired: Arrange = (scene) => scene.repair();
const retained: Arrange = (scene) => scene.retention();

/** Nothing but the one that dies, and those after it, looks at a Redis that restarted or was emptied. */
const restarted =
  (happen: (stage: Stage) => Promise<unknown>): Arrange =>
  async (scene) => {
    await scene.charge(3);
    await scene.settle();
    await closeBilling(scene.stage.billing);
    await happen(scene.stage);
    return { role: "opener" };
  };

export const scenes: Record<ObservePoint, Arrange> = {
  "charge.sent": charges,
  "charge.answered": charges,
  "load.collected": cold,
  "load.read": cold,
  "load.set": cold,
  "credit.read": credited,
  "credit.applied": credited,
  "credit.caught_up": credited,
  "credit.listening": credited,
  "consume.read": charged(),
  "settle.written": charged(),
  "settle.committed": charged(),
  "consume.acked": charged(),
  "consume.claimed": async (scene) => {
    await scene.charge(3);
    await scene.deliverTo("worker-dead");
    return { role: "worker", consumer: "worker-1", settings: { claimIdleMs: 100, claimEveryMs: 50 } };
  },
  "consume.waiting": async (scene) => {
    await scene.charge(3);
    await scene.stage.query("ALTER TABLE data.usage_log RENAME COLUMN model TO missing");
    scene.heal = async () => {
      await scene.stage.query("ALTER TABLE data.usage_log RENAME COLUMN missing TO model");
    };
    return { role: "worker", consumer: "worker-1" };
  },
  "dead_letter.written": async (scene) => {
    await scene.charge(2);
    const unreadable = { deduction_id: randomUUID(), cost: "NaN" };
    const unknown = { ...unreadable, cost: "1", account_type: "user", virtual_key: "vk", provider: "p", model: "m" };
    for (const fields of [unreadable, { ...unknown, account_id: randomUUID() }])
      await scene.stage.billing.redis.xadd(scene.streamKey, "*", ...Object.entries(fields).flat());
    scene.letters = 2;
    return { role: "worker", consumer: "worker-1" };
  },
  "replay.gathered": replayed,
  "replay.settled": replayed,
  "operation.recorded": replayed,
  "fence.adopted": async (scene) => {
    await scene.charge(1);
    return { role: "opener" };
  },
  "fence.advanced": restarted(async ({ redis }) => {
    await redis.kill();
    await redis.restart();
  }),
  "fence.lost": async (scene) => {
    scene.alerts = ["lost_epoch"];
    const emptied = async (stage: Stage) => {
      const billing = await openBilling({ redisUrl: stage.redis.url, db: stage.db });
      await billing.redis.flushall();
      await closeBilling(billing);
    };
    return await restarted(emptied)(scene);
  },
  "repair.recorded": repaired,
  "repair.applied": repaired,
  "retention.planned": retained,
  "retention.written": retained,
  "retention.sealed": retained,
  "retention.removed": retained,
};
