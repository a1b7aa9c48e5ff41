// A seeded random schedule of traffic and faults against real servers, and the simplest possible model of what must come
// out. Threads of work overlap as they like; what each of them does is decided by the seed.
import { randomUUID } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import {
  type AccountRef,
  type Billing,
  type ChargeOutcome,
  charge,
  cleanup,
  closeBilling,
  consume,
  formatUnits,
  type Observe,
  type ObservePoint,
  shardOf,
  streamKey,
} from "../src/index.ts";
import {
  cutConnections,
  randomOf,
  readAsOlderWorker,
  replayUnaccounted,
  sendAsOlderProducer,
} from "./simulation-faults.ts";
import { compare, type Model, olderCharge } from "./simulation-model.ts";
import { aCharge, type Running, type Stage } from "./stage.ts";

export const faults = [
  "repeated request",
  "credit by post_credit",
  "credit by SQL",
  "worker crash",
  "gateway crash",
  "load crash",
  "Postgres connections cut",
  "Redis restart",
  "hand-made DEL",
  "older producer",
  "older worker fails",
  "older worker succeeds",
  "dead letter",
  "cleanup",
  "listener drop",
  "replay",
] as const;
export type Fault = (typeof faults)[number];

const workerPoints: readonly ObservePoint[] = [
  "consume.read",
  "settle.written",
  "settle.committed",
  "dead_letter.written",
  "consume.acked",
];
const loadPoints: readonly ObservePoint[] = ["load.collected", "load.read", "load.set"];

class Crash extends Error {}

type Done = { request: ReturnType<typeof aCharge>; outcome: ChargeOutcome };

export type SimulationOptions = {
  stage: Stage;
  seed: number;
  operations: number;
  accounts: number;
  counts: Map<Fault, number>;
  /** Set in tests of the simulation itself: replaces a part by one with a known bug. */
  planted?: {
    afterCredit?: (account: AccountRef) => Promise<void>;
    afterCharge?: (account: AccountRef) => Promise<void>;
    /** Called with the consumer's name between read and commit. */
    beforeCommit?: (consumer: string) => void;
  };
};

/** Runs one seed and returns what is wrong at rest, in words; empty when everything holds. */
export async function runSeed(options: SimulationOptions): Promise<string[]> {
  const simulation = new Simulation(options);
  await simulation.open();
  try {
    await simulation.run();
    return await simulation.problemsAtRest();
  } finally {
    await simulation.close();
  }
}

class Simulation {
  readonly #stage: Stage;
  readonly #options: SimulationOptions;
  readonly #random: () => number;
  readonly #models: Model[] = [];
  readonly #done: Done[] = [];
  readonly #problems: string[] = [];
  readonly #armed = new Set<ObservePoint>();
  /** Entries that an older worker acked: these may be missing in the books. */
  readonly #lost = new Set<string>();
  #gateways: Billing[] = [];
  #worker: Promise<void> = Promise.resolve();
  #stopWorker = new AbortController();
  #listener: Running | undefined;
  #restarting: Promise<void> | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#stage = options.stage;
    this.#random = randomOf(options.seed);
  }

  async open(): Promise<void> {
    for (let i = 0; i < this.#options.accounts; i++) {
      const account = await this.#stage.account("100", { type: i % 4 === 0 ? "tenant" : "user" });
      this.#models.push({ account, creditsNanos: 100_000_000_000n, chargedNanos: 0n, charges: 0, older: 0 });
    }
    for (let i = 0; i < 2; i++) this.#gateways.push(await this.#stage.another({ observe: this.#observe }));
    this.#listener = this.#stage.listener({ catchUpMs: 200 });
    this.#startWorker();
  }

  async run(): Promise<void> {
    let left = this.#options.operations;
    const lane = async () => {
      while (left-- > 0) await this.#operate();
    };
    await Promise.all(Array.from({ length: 8 }, lane));
  }

  async close(): Promise<void> {
    this.#stopWorker.abort();
    await Promise.allSettled([this.#worker, this.#listener?.stop()]);
    await Promise.allSettled(this.#gateways.map(closeBilling));
  }

  readonly #observe: Observe = (point) => {
    if (this.#armed.delete(point)) throw new Crash(point);
  };

  #startWorker(): void {
    const { signal } = this.#stopWorker;
    const start = async (): Promise<void> => {
      while (!signal.aborted) {
        const consumer = this.#random() < 0.5 ? "worker-1" : "worker-2";
        const settings = { blockTimeMs: 50, claimIdleMs: 300, claimEveryMs: 100, retryDelayMs: 20 };
        const observe: Observe = (point) => {
          if (point === "consume.read") this.#options.planted?.beforeCommit?.(consumer);
          this.#observe(point);
        };
        const billing = await this.#stage.another({ observe });
        try {
          await consume({ billing, consumer, signal, settings });
        } catch (error) {
          if (!(error instanceof Crash)) throw error;
        } finally {
          await closeBilling(billing);
        }
      }
    };
    const retried = async (): Promise<void> => {
      // A worker process that cannot reach Redis at its start ends, and is started again.
      while (!signal.aborted) await start().catch((error: unknown) => this.#noteUnlessAway(error));
    };
    this.#worker = retried();
  }

  #noteUnlessAway(error: unknown): void {
    if (!(error instanceof Error && "retryable" in error)) this.#problems.push(`worker: ${String(error)}`);
  }

  #pick<T>(list: readonly T[]): T {
    const one = list[Math.floor(this.#random() * list.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  }

  #count(fault: Fault): void {
    this.#options.counts.set(fault, (this.#options.counts.get(fault) ?? 0) + 1);
  }

  async #operate(): Promise<void> {
    const dice = this.#random();
    if (dice < 0.83) return await this.#charge();
    if (dice < 0.995)
      return await this.#meddle(
        this.#pick([
          "repeated request",
          "credit by post_credit",
          "credit by SQL",
          "worker crash",
          "gateway crash",
          "load crash",
          "hand-made DEL",
          "older producer",
          "older worker fails",
          "older worker succeeds",
          "dead letter",
        ] as const),
      );
    return await this.#meddle(
      this.#pick(["Postgres connections cut", "Redis restart", "cleanup", "listener drop", "replay"] as const),
    );
  }

  async #charge(): Promise<void> {
    const model = this.#pick(this.#models);
    const costNanos = BigInt(Math.floor(this.#random() * 400_000_000));
    const request = aCharge(
      model.account,
      this.#random() < 0.02 ? 0n : costNanos,
      this.#random() < 0.1 ? { delivered: true } : {},
    );
    const outcome = await this.#insist(request);
    if (outcome.outcome === "charged" || outcome.outcome === "repeated") {
      model.chargedNanos += request.costNanos;
      model.charges++;
      this.#done.push({ request, outcome });
      if (!request.delivered && outcome.balanceAfterNanos < 0n)
        this.#problems.push(`overspent: ${formatUnits(outcome.balanceAfterNanos)}`);
      await this.#options.planted?.afterCharge?.(model.account);
    } else if (outcome.outcome !== "refused") this.#problems.push(`charge answered ${outcome.outcome}`);
  }

  /** Asks with the same request id until there is an answer, as a client does. */
  async #insist(request: ReturnType<typeof aCharge>): Promise<ChargeOutcome> {
    return await waitFor(() => charge(this.#pick(this.#gateways), request), {
      timeoutMs: 30_000,
      what: "an answer to a charge",
    });
  }

  async #meddle(fault: Fault): Promise<void> {
    const model = this.#pick(this.#models);
    if (await this.#act(fault, model)) this.#count(fault);
  }

  async #act(fault: Fault, model: Model): Promise<boolean> {
    const { account } = model;
    const key = streamKey(shardOf(account.id, 16));
    switch (fault) {
      case "repeated request":
        return await this.#repeat();
      case "credit by post_credit":
        return await this.#credit(
          model,
          "SELECT data.post_credit($1, $2::numeric, CASE WHEN $2::numeric > 0 THEN 'top_up' ELSE 'adjustment' END, $3, 'simulated', 'simulation')",
        );
      case "credit by SQL":
        return await this.#credit(
          model,
          "UPDATE data.account_balance SET balance = balance + $2 WHERE id = $1 AND $3::text IS NOT NULL",
        );
      case "worker crash":
        return Boolean(this.#armed.add(this.#pick(workerPoints)));
      case "gateway crash":
        return Boolean(this.#armed.add("charge.answered"));
      case "load crash":
        this.#armed.add(this.#pick(loadPoints));
        return await this.#del(account);
      case "hand-made DEL":
        return await this.#del(account);
      case "older producer":
        return await this.#send(() =>
          sendAsOlderProducer(this.#stage, account, key, Math.floor(this.#random() * 100_000)).then((nanos) =>
            olderCharge(model, nanos),
          ),
        );
      case "older worker fails":
      case "older worker succeeds":
        return await this.#send(() =>
          readAsOlderWorker(this.#stage, key, fault === "older worker succeeds", this.#lost),
        );
      case "dead letter":
        return await this.#send(() =>
          this.#stage.billing.redis.xadd(key, "*", "deduction_id", randomUUID(), "cost", "NaN"),
        );
      case "Postgres connections cut":
        return await this.#send(() => cutConnections(this.#stage, "true"));
      case "listener drop":
        return await this.#send(() => cutConnections(this.#stage, "application_name = 'drawdown listen'"));
      case "Redis restart":
        return await this.#restartRedis();
      case "cleanup":
        return await this.#send(() => cleanup(this.#stage.billing, { maxAgeMs: 0, maxPerShard: 200, dryRun: false }));
      case "replay":
        return await this.#send(async () => {
          for (const id of await replayUnaccounted(this.#stage))
            if (!this.#lost.has(id))
              this.#problems.push(`entry ${id} was acked, is not in the books, and no older worker lost it`);
        });
    }
  }

  /** Something that a store being away may prevent; then it did not happen. */
  async #send(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error;
      return false;
    }
  }

  async #repeat(): Promise<boolean> {
    const done = this.#done.length > 0 ? this.#pick(this.#done) : undefined;
    if (!done) return false;
    const outcome = await this.#insist(done.request);
    const same =
      outcome.outcome === "repeated" &&
      "deductionId" in done.outcome &&
      outcome.deductionId === done.outcome.deductionId;
    if (!same) this.#problems.push(`a repeated request was answered ${outcome.outcome}`);
    return true;
  }

  async #credit(model: Model, sql: string): Promise<boolean> {
    const nanos = BigInt(Math.floor(this.#random() * 20_000_000_000)) - 5_000_000_000n;
    if (nanos === 0n) return false;
    // A connection cut at the wrong moment leaves open whether it was committed: the reference, or the audit row's absence, tells.
    const reference = randomUUID();
    return await this.#send(async () => {
      const client = await this.#stage.db.$client.connect();
      try {
        await client.query("BEGIN");
        await client.query(sql, [model.account.id, formatUnits(nanos), reference]);
        await client.query("SELECT set_config('drawdown.probe', '1', true)");
        model.creditsNanos += nanos;
        await client.query("COMMIT").catch(async (error: unknown) => {
          if (!(await this.#wasCommitted(model, nanos, reference))) model.creditsNanos -= nanos;
          throw error;
        });
        await this.#options.planted?.afterCredit?.(model.account);
      } finally {
        client.release(true);
      }
    });
  }

  async #wasCommitted(model: Model, nanos: bigint, reference: string): Promise<boolean> {
    const sql =
      "SELECT 1 FROM data.account_balance_audit WHERE account_id = $1 AND amount = $2 AND (reference = $3 OR reference IS NULL) LIMIT 1";
    const rows = await waitFor(
      async () => ({ found: await this.#stage.query(sql, [model.account.id, formatUnits(nanos), reference]) }),
      { timeoutMs: 10_000, what: "Postgres back" },
    );
    return rows.found.length > 0;
  }

  async #del(account: AccountRef): Promise<boolean> {
    return await this.#send(() =>
      this.#stage.billing.redis.del(
        `balance:{${streamKey(shardOf(account.id, 16))}}:${account.type}:${account.ownerId}`,
      ),
    );
  }

  async #restartRedis(): Promise<boolean> {
    if (this.#restarting) return false;
    this.#restarting = this.#stage.redis.restart().finally(() => {
      this.#restarting = undefined;
    });
    await this.#restarting;
    return true;
  }

  async problemsAtRest(): Promise<string[]> {
    this.#armed.clear();
    await this.#restarting;
    // Every account is charged once more, so that it is loaded and every credit has somewhere to go.
    for (const model of this.#models) {
      const outcome = await this.#insist(aCharge(model.account, 0n, { delivered: true }));
      if (outcome.outcome === "charged" || outcome.outcome === "repeated") model.charges++;
    }
    const note = (error: unknown) => this.#problems.push(String(error), String(error instanceof Error && error.cause));
    await this.#stage.drained().catch(note);
    for (const id of await replayUnaccounted(this.#stage))
      if (!this.#lost.has(id))
        this.#problems.push(`entry ${id} was acked, is not in the books, and no older worker lost it`);
    await this.#stage.atRest().catch(note);
    for (const model of this.#models) this.#problems.push(...(await compare(this.#stage, model)));
    return this.#problems;
  }
}
