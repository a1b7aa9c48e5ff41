// A seeded random schedule of traffic and faults against real servers, and the simplest possible model of what must come
// out. What operation n of a seed does is decided by the seed and n alone, so a failing seed runs the same schedule again;
// lanes of work overlap as they like, and how they do is the machine's.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "@drawdown/local-stack";
import {
  type AccountRef,
  applyCredits,
  type Billing,
  type ChargeOutcome,
  charge,
  cleanup,
  closeBilling,
  consume,
  formatUnits,
  type Observe,
  type ObservePoint,
  proveAll,
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
import {
  check,
  compare,
  compareCold,
  credit,
  leftAfterCleanup,
  type Model,
  olderCharge,
  openModels,
} from "./simulation-model.ts";
import {
  type Act,
  type CrashFault,
  crashPoints,
  type Fault,
  pick,
  pickAct,
  type Random,
} from "./simulation-schedule.ts";
import { aCharge, type Stage } from "./stage.ts";

const LANES = 24;
const PROVE_EVERY_MS = 1_000;

class Crash extends Error {}

type Done = { request: ReturnType<typeof aCharge>; outcome: ChargeOutcome };

export type SimulationOptions = {
  stage: Stage;
  seed: number;
  operations: number;
  accounts: number;
  counts: Map<Fault | "refused", number>;
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
  const simulation = new Simulation(options, await openModels(options.stage, options.accounts));
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
  readonly #models: readonly Model[];
  /** By the number of its operation. */
  readonly #done: (Done | undefined)[] = [];
  readonly #problems: string[] = [];
  readonly #armed = new Map<ObservePoint, CrashFault>();
  /** Entries that an older worker acked: these may be missing in the books. */
  readonly #lost = new Set<string>();
  readonly #gateways: Billing[] = [];
  readonly #stop = new AbortController();
  #running: Promise<void>[] = [];
  #restarting: Promise<void> | undefined;

  constructor(options: SimulationOptions, models: readonly Model[]) {
    this.#options = options;
    this.#stage = options.stage;
    this.#models = models;
  }

  async open(): Promise<void> {
    for (let i = 0; i < 2; i++) this.#gateways.push(await this.#stage.another({ observe: this.#observe }));
    const names = this.#random(-1);
    this.#running = [
      this.#keepRunning("worker", (signal) => this.#work(names() < 0.5 ? "worker-1" : "worker-2", signal)),
      this.#keepRunning("listener", (signal) => this.#listen(signal)),
      this.#keepRunning("prover", (signal) => this.#prove(signal)),
    ];
  }

  async run(): Promise<void> {
    let next = 0;
    const lane = async () => {
      while (next < this.#options.operations) await this.#operate(next++);
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running);
    await Promise.allSettled(this.#gateways.map(closeBilling));
  }

  /** The chances of one operation. */
  #random(operation: number): Random {
    return randomOf(Math.imul(this.#options.seed, 0x9e3779b1) ^ Math.imul(operation + 1, 0x85ebca6b));
  }

  readonly #observe: Observe = (point) => {
    const fault = this.#armed.get(point);
    if (fault === undefined) return;
    this.#armed.delete(point);
    this.#count(fault);
    throw new Crash(point);
  };

  /** Whoever comes to the point next dies there. */
  #arm(fault: CrashFault, random: Random): void {
    this.#armed.set(pick<ObservePoint>(crashPoints[fault], random), fault);
  }

  /** A process that died, or that cannot reach a store at its start, is started again. */
  async #keepRunning(what: string, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted)
      await run(signal).catch((error: unknown) => {
        const expected = error instanceof Crash || (error instanceof Error && "retryable" in error);
        if (!expected) this.#problems.push(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
      });
  }

  async #work(consumer: string, signal: AbortSignal): Promise<void> {
    const settings = { blockTimeMs: 50, gatherMs: 0, claimIdleMs: 400, claimEveryMs: 400, retryDelayMs: 20 };
    const observe: Observe = (point) => {
      if (point === "consume.read") this.#options.planted?.beforeCommit?.(consumer);
      this.#observe(point);
    };
    const billing = await this.#stage.another({ observe });
    try {
      await consume({ billing, consumer, signal, settings });
    } finally {
      await closeBilling(billing);
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const billing = await this.#stage.another({ observe: this.#observe });
    const databaseUrl = this.#stage.database.url;
    try {
      await applyCredits({ billing, databaseUrl, signal, catchUpMs: 200 });
    } finally {
      await closeBilling(billing);
    }
  }

  /** As the schedule does each minute. */
  async #prove(signal: AbortSignal): Promise<void> {
    await sleep(PROVE_EVERY_MS, undefined, { signal }).catch(() => {});
    if (!signal.aborted) await proveAll(this.#stage.billing);
  }

  async #operate(n: number): Promise<void> {
    const random = this.#random(n);
    const model = pick(this.#models, random);
    const act = pickAct(random);
    if (act === "charge") await this.#charge(model, random, n);
    else if ((await this.#act(act, model, random, n)) && !(act in crashPoints)) this.#count(act);
  }

  #count(what: Fault | "refused"): void {
    this.#options.counts.set(what, (this.#options.counts.get(what) ?? 0) + 1);
  }

  async #charge(model: Model, random: Random, n: number): Promise<void> {
    const costNanos = random() < 0.02 ? 0n : BigInt(Math.floor(random() * 400_000_000));
    const request = aCharge(model.account, costNanos, random() < 0.1 ? { delivered: true } : {});
    const outcome = await this.#insist(request, random);
    if (outcome.outcome === "charged" || outcome.outcome === "repeated") {
      model.chargedNanos += request.costNanos;
      model.charges++;
      this.#done[n] = { request, outcome };
      if (!request.delivered && outcome.balanceAfterNanos < 0n)
        this.#problems.push(`overspent: ${formatUnits(outcome.balanceAfterNanos)}`);
      await this.#options.planted?.afterCharge?.(model.account);
    } else if (outcome.outcome === "refused" && outcome.availableNanos < costNanos) this.#count("refused");
    else this.#problems.push(`a charge was answered ${outcome.outcome}`);
  }

  /** Asks with the same request id until there is an answer, as a client does. */
  async #insist(request: ReturnType<typeof aCharge>, random: Random): Promise<ChargeOutcome> {
    return await waitFor(() => charge(pick(this.#gateways, random), request), {
      timeoutMs: 30_000,
      what: "an answer to a charge",
      intervalMs: 40,
    });
  }

  async #act(act: Act, model: Model, random: Random, n: number): Promise<boolean> {
    const { account } = model;
    const key = streamKey(shardOf(account.id, this.#stage.billing.numShards));
    switch (act) {
      case "repeated request":
        return await this.#repeat(random, n);
      case "credit by post_credit":
      case "credit by SQL":
        return await this.#credit(model, act === "credit by SQL", random);
      case "worker crash":
      case "gateway crash":
      case "listener crash":
        this.#arm(act, random);
        return true;
      case "load crash":
        this.#arm(act, random);
        return await this.#del(account);
      case "hand-made DEL":
        return await this.#del(account);
      case "older producer":
        return await happened(async () =>
          olderCharge(model, await sendAsOlderProducer(this.#stage, account, key, Math.floor(random() * 100_000))),
        );
      case "older worker fails":
      case "older worker succeeds":
        return await happened(() => readAsOlderWorker(this.#stage, key, act === "older worker succeeds", this.#lost));
      case "dead letter":
        return await happened(() =>
          this.#stage.billing.redis.xadd(key, "*", "deduction_id", randomUUID(), "cost", "NaN"),
        );
      case "Postgres connections cut":
        return await happened(() => cutConnections(this.#stage, "true"));
      case "listener drop":
        return await happened(() => cutConnections(this.#stage, "application_name = 'drawdown listen'"));
      case "Redis restart":
        return await this.#restartRedis(random);
      case "cleanup":
        return await this.#insistOn(() =>
          cleanup(this.#stage.billing, { maxAgeMs: 0, maxPerShard: 200, dryRun: false }),
        );
      case "replay crash":
        this.#arm(act, random);
        return await this.#insistOn(() => this.#replay(random));
      case "replay":
        return await this.#insistOn(() => this.#replay(random));
    }
  }

  /** An operator whose act is cut off by a store being away, or by a crash, starts it again. */
  async #insistOn(act: () => Promise<unknown>): Promise<boolean> {
    const finish = async () => {
      await act();
      return true;
    };
    return await waitFor(finish, { timeoutMs: 120_000, what: "the end of an operator's act", intervalMs: 100 });
  }

  async #replay(random: Random): Promise<void> {
    for (const id of await replayUnaccounted(pick(this.#gateways, random)))
      if (!this.#lost.has(id))
        this.#problems.push(`entry ${id} was acked, is not in the books, and no older worker lost it`);
  }

  /** The nearest earlier charge that was answered, asked again. */
  async #repeat(random: Random, n: number): Promise<boolean> {
    let earlier = Math.floor(random() * n);
    while (earlier > 0 && !this.#done[earlier]) earlier--;
    const done = this.#done[earlier];
    if (!done) return false;
    const outcome = await this.#insist(done.request, random);
    const same =
      outcome.outcome === "repeated" &&
      "deductionId" in done.outcome &&
      outcome.deductionId === done.outcome.deductionId;
    if (!same) this.#problems.push(`a repeated request was answered ${outcome.outcome}`);
    return true;
  }

  async #credit(model: Model, bySql: boolean, random: Random): Promise<boolean> {
    const nanos = BigInt(Math.floor(random() * 20_000_000_000)) - 5_000_000_000n;
    if (nanos === 0n) return false;
    return await happened(async () => {
      await credit(this.#stage, model, nanos, bySql);
      await this.#options.planted?.afterCredit?.(model.account);
    });
  }

  async #del(account: AccountRef): Promise<boolean> {
    const key = `balance:{${streamKey(shardOf(account.id, this.#stage.billing.numShards))}}:${account.type}:${account.ownerId}`;
    return await happened(() => this.#stage.billing.redis.del(key));
  }

  /** Half of them by SIGKILL. Some of those who find it back die while they let each other in. */
  async #restartRedis(random: Random): Promise<boolean> {
    if (this.#restarting) return false;
    if (random() < 0.5) this.#arm("crash while Redis is let in again", random);
    const kill = random() < 0.5;
    const restart = async () => {
      if (kill) await this.#stage.redis.kill();
      await this.#stage.redis.restart();
    };
    this.#restarting = restart().finally(() => {
      this.#restarting = undefined;
    });
    await this.#restarting;
    return true;
  }

  async problemsAtRest(): Promise<string[]> {
    this.#armed.clear();
    await this.#restarting;
    // Every account is charged once more, so that it is loaded and every credit has somewhere to go.
    const last = this.#random(-2);
    for (const model of this.#models) {
      const outcome = await this.#insist(aCharge(model.account, 0n, { delivered: true }), last);
      if (outcome.outcome === "charged" || outcome.outcome === "repeated") model.charges++;
    }
    const note = (error: unknown) => this.#problems.push(String(error), String(error instanceof Error && error.cause));
    await this.#stage.drained().catch(note);
    await this.#replay(last);
    await this.#stage.atRest().catch(note);
    for (const found of await Promise.all(this.#models.map((model) => compare(this.#stage, model))))
      this.#problems.push(...found);
    this.#problems.push(
      ...(await check(this.#stage)),
      ...(await leftAfterCleanup(this.#stage)),
      ...(await compareCold(this.#stage, this.#models)),
    );
    return this.#problems;
  }
}

/** Something that a store being away, or a crash, may prevent; then it did not happen. */
async function happened(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw error;
    return false;
  }
}
