// Two gateways and two workers, each as another process would be, around a Redis that loses its memory again and again.
import { setTimeout as pause } from "node:timers/promises";
import { closeDb, connectDb } from "@drawdown/db";
import { waitFor } from "@drawdown/local-stack";
import {
  type AccountRef,
  type Billing,
  chargeMany,
  closeBilling,
  consume,
  formatUnits,
  type Observe,
  openBilling,
  parseUnits,
  peekBalance,
  readBalance,
  unobserved,
} from "../src/index.ts";
import { randomOf } from "./simulation-faults.ts";
import { aCharge, type Stage } from "./stage.ts";

/** Another process with a pool of its own, whose connections a test can take away: what it has in hand stays there. */
export type OwnProcess = { billing: Billing; takeAll: () => Promise<() => void>; close: () => Promise<void> };

export async function ownProcess(stage: Stage, observe: Observe = unobserved): Promise<OwnProcess> {
  const db = connectDb(stage.database.url, { max: 4 });
  const billing = await openBilling({ redisUrl: stage.redis.url, db, observe });
  return {
    billing,
    takeAll: async () => {
      const taken = Array.from({ length: 4 }, () => db.$client.connect());
      // Those that somebody still uses come when he is done.
      await Promise.any([Promise.all(taken), pause(500)]);
      return () => {
        for (const one of taken) one.then((client) => client.release()).catch(() => {});
      };
    },
    close: async () => {
      await closeBilling(billing);
      await closeDb(db);
    },
  };
}

/** Everything that goes on while Redis loses its memory: two gateways, two workers that cannot always write, and somebody who locks rows. */
export class Storm {
  readonly #stage: Stage;
  readonly random: () => number;
  readonly accounts: AccountRef[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];
  readonly #processes: OwnProcess[] = [];
  readonly #samples: Promise<void>[] = [];
  /** Deductions that were answered as charged. */
  readonly charged = new Map<string, bigint>();
  /** When an account was last answered by balance: charged, or refused for want of it. */
  readonly answeredAt = new Map<string, number>();
  readonly refused = new Set<string>();
  readonly tooHigh: string[] = [];

  constructor(stage: Stage, seed: number) {
    this.#stage = stage;
    this.random = randomOf(seed);
  }

  async start(balance: string, starved: boolean): Promise<void> {
    for (let i = 0; i < 8; i++) this.accounts.push(await this.#stage.account(balance));
    const first = this.#stage.worker();
    for (const account of this.accounts) await readBalance(this.#stage.billing, account);
    await this.#stage.atRest();
    await first.stop();
    for (const consumer of ["worker-1", "worker-2"]) {
      const { billing, takeAll } = await this.#process();
      if (starved) this.#loop(() => this.#starve(takeAll));
      const settings = { blockTimeMs: 300, retryDelayMs: 100 };
      this.#running.push(consume({ billing, consumer, signal: this.#stop.signal, settings }));
      this.#loop(async () => {
        await billing.fence.watch().catch(() => {});
        await pause(1_000, undefined, { signal: this.#stop.signal }).catch(() => {});
      });
    }
    for (let i = 0; i < 2; i++) {
      const { billing } = await this.#process((point) => {
        if (point === "load.set") this.#samples.push(this.#sample());
      });
      this.#loop(() => this.#charge(billing));
    }
    this.#loop(() => this.#lockRow());
    this.#loop(() => this.#sample());
  }

  async #process(observe?: Observe): Promise<OwnProcess> {
    const process = await ownProcess(this.#stage, observe);
    this.#processes.push(process);
    return process;
  }

  #loop(step: () => Promise<void>): void {
    const run = async () => {
      while (!this.#stop.signal.aborted) await step();
    };
    this.#running.push(run());
  }

  async #charge(billing: Billing): Promise<void> {
    const requests = Array.from({ length: 1 + Math.floor(this.random() * 8) }, () => {
      const account = this.accounts[Math.floor(this.random() * this.accounts.length)] as AccountRef;
      return aCharge(account, BigInt(1 + Math.floor(this.random() * 5e7)));
    });
    const outcomes = await chargeMany(billing, requests);
    outcomes.forEach((outcome, i) => {
      if (outcome.outcome === "charged") this.charged.set(outcome.deductionId, outcome.costNanos);
      if (outcome.outcome === "refused") this.refused.add(requests[i]?.account.id ?? "");
      if (outcome.outcome === "charged" || outcome.outcome === "refused")
        this.answeredAt.set(requests[i]?.account.id ?? "", performance.now());
    });
    await pause(1 + this.random() * 8); // the pace of the load
  }

  /** A worker's connections are gone for a while: what it has in hand stays there longer than an emptied shard waits. */
  async #starve(takeAll: OwnProcess["takeAll"]): Promise<void> {
    const giveBack = await takeAll();
    await pause(300 + this.random() * 1_200); // how long
    giveBack();
    await pause(this.random() * 300, undefined, { signal: this.#stop.signal }).catch(() => {}); // and how seldom
  }

  async #lockRow(): Promise<void> {
    const client = await this.#stage.db.$client.connect();
    const account = this.accounts[Math.floor(this.random() * this.accounts.length)];
    await client.query("BEGIN");
    await client.query("SELECT FROM data.account_balance WHERE id = $1 FOR UPDATE", [account?.id]);
    await pause(this.random() * 60); // the lock's length
    await client.query("COMMIT");
    client.release();
  }

  /** The books are read first: without credits both only sink, so that Redis is never above what the books were before. */
  async #sample(): Promise<void> {
    const books = await this.#stage.query<{ id: string; balance: string }>(
      "SELECT id, balance FROM data.account_balance",
    );
    for (const account of this.accounts) {
      const balance = await peekBalance(this.#stage.billing, account).catch(() => undefined);
      const booked = books.find(({ id }) => id === account.id)?.balance ?? "";
      if (balance && balance.balanceNanos > parseUnits(booked))
        this.tooHigh.push(`${account.id}: ${formatUnits(balance.balanceNanos)} in Redis, ${booked} in the books`);
    }
  }

  /** Returns the alert of it, which was there within five seconds, when every account is of use again. */
  async loseMemory(how: "flushall" | "restart") {
    const [{ at } = { at: new Date() }] = await this.#stage.query<{ at: Date }>("SELECT clock_timestamp() AS at");
    if (how === "flushall") await this.#stage.billing.redis.flushall();
    else {
      await this.#stage.redis.kill();
      await this.#stage.redis.restart({ emptied: true });
    }
    const sql =
      "SELECT level, details FROM data.alert WHERE kind = 'lost_epoch' AND opened_at > $1 AND opened_at < clock_timestamp()";
    const [alert] = await waitFor(
      async () => {
        const rows = await this.#stage.query<{ level: string; details: Record<string, string> }>(sql, [at]);
        return rows.length > 0 ? rows : undefined;
      },
      { timeoutMs: 5_000, what: "the alert of the loss" },
    );
    const backAt = performance.now();
    await waitFor(() => this.accounts.every(({ id }) => (this.answeredAt.get(id) ?? 0) > backAt), {
      timeoutMs: 15_000,
      what: "every account to be of use again",
    });
    return alert;
  }

  /** Until every account has nothing left for what it is asked. */
  async spent(): Promise<void> {
    this.refused.clear();
    await waitFor(() => this.refused.size === this.accounts.length, { timeoutMs: 30_000, what: "all of it spent" });
  }

  /** Ends the charges, and the workers when nothing is left to settle. */
  async rest(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    await Promise.all(this.#samples);
    const worker = this.#stage.worker();
    for (const account of this.accounts) await readBalance(this.#stage.billing, account);
    await this.#stage.atRest();
    await worker.stop();
    await Promise.all(this.#processes.map((one) => one.close()));
  }
}
