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
  findRequest,
  formatUnits,
  type Observe,
  type ObservePoint,
  peekBalance,
  proveAll,
  readStandings,
  shardOf,
  streamKey,
} from "../src/index.ts";
import { settle } from "../src/settle.ts";
import { aCharge, chainProblems, type Running, type Stage } from "./stage.ts";

/** Small, fast and the same everywhere (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

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

/** What must come out, in nanos: credits minus what was charged, whoever charged it. */
type Model = { account: AccountRef; creditsNanos: bigint; chargedNanos: bigint; charges: number; older: number };
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
    ackBeforeCommit?: boolean;
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
  #badEntries = 0;
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
        const billing = await this.#stage.another({ observe: this.#observe });
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
        return await this.#olderProducer(model, key);
      case "older worker fails":
      case "older worker succeeds":
        return await this.#olderWorker(key, fault === "older worker succeeds");
      case "dead letter":
        return await this.#send(() =>
          this.#stage.billing.redis
            .xadd(key, "*", "deduction_id", randomUUID(), "cost", "NaN")
            .then(() => this.#badEntries++),
        );
      case "Postgres connections cut":
        return await this.#cut("true");
      case "listener drop":
        return await this.#cut("application_name = 'drawdown listen'");
      case "Redis restart":
        return await this.#restartRedis();
      case "cleanup":
        return await this.#send(() => cleanup(this.#stage.billing, { maxAgeMs: 0, maxPerShard: 200, dryRun: false }));
      case "replay":
        return await this.#send(() => this.#replayUnaccounted());
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

  async #olderProducer(model: Model, key: string): Promise<boolean> {
    const micros = Math.floor(this.#random() * 100_000);
    const fields = [
      "deduction_id",
      `ded_old_${randomUUID()}`,
      "account_id",
      model.account.id,
      "account_type",
      model.account.type,
      "virtual_key",
      "vk_old",
      "cost",
      String(micros / 1e6),
      "currency",
      "USD",
      "provider",
      "openai",
      "model",
      "gpt-4o",
      "input_tokens",
      "3",
      "output_tokens",
      "4",
      "timestamp",
      new Date().toISOString(),
    ];
    const sent = await this.#send(() => this.#stage.billing.redis.xadd(key, "*", ...fields));
    if (!sent) return false; // Redis is killed gently here: an unanswered command was not executed
    model.creditsNanos -= BigInt(micros) * 1_000n;
    model.older++;
    return true;
  }

  /** Reads like the replaced system's worker: acks the whole batch, written or not, and never moves a balance. */
  async #olderWorker(key: string, writes: boolean): Promise<boolean> {
    return await this.#send(async () => {
      const reply = await this.#stage.billing.redis.xreadgroup(
        "GROUP",
        "billing_workers",
        "older-worker",
        "COUNT",
        3,
        "STREAMS",
        key,
        ">",
      );
      const [stream] = Array.isArray(reply) ? reply : [];
      for (const [id, fields] of Array.isArray(stream) ? (stream[1] as [string, string[]][]) : []) {
        const value = (name: string) => fields[fields.indexOf(name) + 1] ?? "";
        if (writes && fields.includes("virtual_key"))
          await this.#stage
            .query(
              `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at, input_tokens, output_tokens, metadata_json, sync_status)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '{}', 'completed') ON CONFLICT (deduction_id) DO NOTHING`,
              [
                "deduction_id",
                "virtual_key",
                "account_id",
                "account_type",
                "provider",
                "model",
                "cost",
                "currency",
                "timestamp",
                "input_tokens",
                "output_tokens",
              ].map(value),
            )
            .catch(() => {});
        await this.#stage.billing.redis.xack(key, "billing_workers", id);
      }
    });
  }

  async #cut(which: string): Promise<boolean> {
    return await this.#send(() =>
      this.#stage.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${which}`,
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

  /** Settles what is acked and not in the books, half-settled rows included. */
  async #replayUnaccounted(): Promise<void> {
    const { billing } = this.#stage;
    for (const { shard } of await proveAll(billing))
      for (let from = "-", more = true; more; ) {
        const page = await readStandings(billing, shard, from, "+", 1_000);
        const lost = page.entries.flatMap(({ entry, standing }) =>
          entry && (standing === "unaccounted" || standing === "half_settled") ? [entry] : [],
        );
        if (lost.length > 0) await settle(billing, lost, "replay");
        more = page.more;
        from = `(${page.entries.at(-1)?.raw.entryId ?? "0-0"}`;
      }
  }

  async problemsAtRest(): Promise<string[]> {
    this.#armed.clear();
    await this.#restarting;
    await waitFor(
      () => charge(this.#stage.billing, aCharge(this.#models[0]?.account ?? this.#pick(this.#models).account, 0n)),
      { timeoutMs: 10_000, what: "Redis back" },
    ).then((outcome) => {
      const first = this.#models[0];
      if (first && outcome.outcome === "charged") first.charges++;
    });
    // Every account is loaded, so that every credit has somewhere to go.
    for (const { account } of this.#models)
      await waitFor(() => findRequest(this.#stage.billing, account, "none").then(() => true), {
        timeoutMs: 10_000,
        what: "Redis",
      });
    for (const model of this.#models) {
      const outcome = await this.#insist(aCharge(model.account, 0n, { delivered: true }));
      if (outcome.outcome === "charged" || outcome.outcome === "repeated") model.charges++;
    }
    await this.#stage
      .drained()
      .catch((error: unknown) => this.#problems.push(String(error), String((error as Error).cause)));
    await this.#replayUnaccounted();
    await this.#stage
      .atRest()
      .catch((error: unknown) => this.#problems.push(String(error), String((error as Error).cause)));
    for (const model of this.#models) this.#problems.push(...(await this.#compare(model)));
    return this.#problems;
  }

  async #compare({ account, creditsNanos, chargedNanos, charges, older }: Model): Promise<string[]> {
    const expected = formatUnits(creditsNanos - chargedNanos);
    const redis = await peekBalance(this.#stage.billing, account);
    const [books] = await this.#stage.query(
      `SELECT a.balance, a.total_debits, (SELECT count(*) FROM data.usage_log u WHERE u.account_id = a.id AND settled_at IS NOT NULL)::int AS rows
         FROM data.account_balance a WHERE a.id = $1`,
      [account.id],
    );
    const problems = await chainProblems(this.#stage, account);
    if (formatUnits(redis?.balanceNanos ?? -1n) !== expected)
      problems.push(`Redis has ${formatUnits(redis?.balanceNanos ?? -1n)}, the model ${expected}`);
    if (books?.balance !== expected) problems.push(`Postgres has ${books?.balance}, the model ${expected}`);
    if (books?.total_debits !== formatUnits(chargedNanos))
      problems.push(`debits ${books?.total_debits}, the model ${formatUnits(chargedNanos)}`);
    if (Number(books?.rows) !== charges + older) problems.push(`${books?.rows} rows, the model ${charges + older}`);
    return problems.map((problem) => `account ${account.id}: ${problem}`);
  }
}
