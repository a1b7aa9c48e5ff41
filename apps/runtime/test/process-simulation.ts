/**
 * The simulation with real processes: two gateways driven over HTTP, two workers, a Postgres and a Redis of their own, and a seeded
 * schedule that kills all of them with SIGKILL while clients ask again until they are answered. What operation n of a seed does is
 * decided by the seed and n alone, so that a failing seed runs the same schedule again.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Billing,
  closeBilling,
  formatUnits,
  openBilling,
  parseUnits,
  peekBalance,
  readStats,
  reconcile,
  shardOf,
  streamKey,
  verifyChain,
} from "@drawdown/billing";
import { closeDb, connectDb, type Db, migrate } from "@drawdown/db";
import { freePort, startPostgres, type TestRedis, testRedis, waitFor } from "@drawdown/local-stack";
import { type FleetAccount, Kept, keepGateway, openAccounts, randomOf, ready } from "./fleet.ts";
import { post } from "./stage.ts";

/** Each with its share of the operations; all the rest are charges. */
const shares = {
  "repeated request": 0.03,
  "top-up by post_credit": 0.01,
  "top-up by SQL": 0.01,
  "hand-made DEL": 0.01,
  "older producer": 0.01,
  "dead letter": 0.005,
};
/** So often in each seed, at operations that the seed decides. */
const kills = [
  "gateway SIGKILL",
  "worker SIGKILL",
  "Postgres SIGKILL",
  "Postgres stop",
  "Redis SIGKILL",
  "Redis stop",
] as const;
const killsOfEach = 6;
type Act = keyof typeof shares;
export type ProcessFault = Act | (typeof kills)[number];
export const processFaults: readonly ProcessFault[] = [...(Object.keys(shares) as Act[]), ...kills];

/** Crashes of processes lose nothing without these; only a power cut would. */
const quickPostgres = { fsync: "off", full_page_writes: "off" };

const lanes = 12;
/** Soon spent, so that charges are refused until a top-up comes. */
const opening = "5";
/** Nanos a token: the model's price list. */
const price = { input: 1_000n, output: 3_000n };

/** In nanos; `rows` are all its deductions, `older` those of older producers, whose costs lower the credits. */
type Model = { account: FleetAccount; creditsNanos: bigint; chargedNanos: bigint; rows: number };
type Random = () => number;
type Answer = { deduction_id: string; cost: string; balance_after: string };
type Done = { model: Model; body: object; answer: Answer };

export type ProcessSimulationOptions = {
  seed: number;
  operations: number;
  accounts: number;
  counts: Map<ProcessFault | "refused", number>;
};

/** Runs one seed and returns what is wrong at rest, in words; empty when everything holds. */
export async function runProcessSeed(options: ProcessSimulationOptions): Promise<string[]> {
  const dir = await mkdtemp(join(tmpdir(), "drawdown-test-processes-"));
  const simulation = new ProcessSimulation(options, dir);
  try {
    await simulation.open();
    await simulation.run();
    return await simulation.problemsAtRest();
  } catch (error) {
    const what = error instanceof Error ? `${error.stack}: ${String(error.cause)}` : String(error);
    return [what, ...simulation.complaints()];
  } finally {
    await simulation.close();
    await rm(dir, { recursive: true, force: true });
  }
}

class ProcessSimulation {
  readonly #options: ProcessSimulationOptions;
  readonly #dir: string;
  readonly #problems: string[] = [];
  /** By the number of its operation. */
  readonly #done: (Done | undefined)[] = [];
  #models: Model[] = [];
  #gateways: { process: Kept; url: string }[] = [];
  #workers: Kept[] = [];
  #postgres!: Awaited<ReturnType<typeof startPostgres>>;
  #redis!: TestRedis;
  #db!: Db;
  #billing!: Billing;
  /** By the number of the operation. */
  readonly #kills = new Map<number, ProcessFault>();
  readonly #restarts = { Postgres: Promise.resolve(), Redis: Promise.resolve() };

  constructor(options: ProcessSimulationOptions, dir: string) {
    this.#options = options;
    this.#dir = dir;
    const random = this.#random(-3);
    while (this.#kills.size < kills.length * killsOfEach) {
      const kill = kills[this.#kills.size % kills.length];
      const n = Math.floor(random() * options.operations);
      if (kill && !this.#kills.has(n)) this.#kills.set(n, kill);
    }
  }

  async open(): Promise<void> {
    [this.#postgres, this.#redis] = await Promise.all([
      startPostgres({ dir: this.#dir, settings: quickPostgres }),
      testRedis(),
    ]);
    await migrate(this.#postgres.url);
    this.#db = connectDb(this.#postgres.url);
    await this.#db.$client.query(
      `INSERT INTO data.model_price (provider, model, price_model, input_price, output_price)
       VALUES ('sim', 'sim-1', 'per_input_output', $1, $2)`,
      [formatUnits(price.input), formatUnits(price.output)],
    );
    const accounts = await openAccounts(this.#db, this.#options.accounts, opening);
    this.#models = accounts.map((account) => ({
      account,
      creditsNanos: parseUnits(opening),
      chargedNanos: 0n,
      rows: 0,
    }));
    this.#billing = await openBilling({ redisUrl: this.#redis.url, db: this.#db });
    const env = { DATABASE_URL: this.#postgres.url, REDIS_URL: this.#redis.url };
    const ports = await Promise.all([freePort(), freePort()]);
    this.#gateways = ports.map((port) => keepGateway(env, port));
    this.#workers = [new Kept(["worker"], env), new Kept(["worker"], env)];
    await ready(this.#gateways);
  }

  async run(): Promise<void> {
    let next = 0;
    const lane = async () => {
      while (next < this.#options.operations) await this.#operate(next++);
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#gateways.map(({ process }) => process), ...this.#workers].map((one) => one.stop()));
    if (this.#billing) await closeBilling(this.#billing);
    if (this.#db) await closeDb(this.#db);
    await Promise.all([this.#postgres?.stop(), this.#redis?.stop()]);
  }

  #random(operation: number): Random {
    return randomOf(Math.imul(this.#options.seed, 0x9e3779b1) ^ Math.imul(operation + 1, 0x85ebca6b));
  }

  async #operate(n: number): Promise<void> {
    const random = this.#random(n);
    const model = pick(this.#models, random);
    const fault = this.#kills.get(n) ?? pickAct(random);
    if (fault === undefined) await this.#charge(model, random, n);
    else if (await this.#act(fault, model, random, n)) this.#count(fault);
  }

  #count(what: ProcessFault | "refused"): void {
    this.#options.counts.set(what, (this.#options.counts.get(what) ?? 0) + 1);
  }

  async #charge(model: Model, random: Random, n: number): Promise<void> {
    const [input, output] = [Math.floor(random() * 200_000), Math.floor(random() * 50_000)];
    const usage = { prompt_tokens: input, completion_tokens: output };
    const body = { provider: "sim", model: "sim-1", usage, request_id: randomUUID() };
    const answer = await this.#ask(model, body, random);
    if (!answer) return this.#count("refused");
    const costNanos = BigInt(input) * price.input + BigInt(output) * price.output;
    if (answer.cost !== formatUnits(costNanos)) this.#problems.push(`cost ${answer.cost} of ${JSON.stringify(usage)}`);
    if (parseUnits(answer.balance_after) < 0n) this.#problems.push(`overspent: ${answer.balance_after}`);
    model.chargedNanos += costNanos;
    model.rows += 1;
    this.#done[n] = { model, body, answer };
  }

  /** Asks with the same request id until there is an answer, as a client does. Undefined: refused for want of money. */
  async #ask(model: Model, body: object, random: Random): Promise<Answer | undefined> {
    const deadline = performance.now() + 60_000;
    let last = "nothing";
    while (performance.now() < deadline) {
      const { url } = pick(this.#gateways, random);
      try {
        const response = await post(`${url}/v1/charges`, model.account.apiKey, body);
        const text = await response.text();
        if (response.status === 200) return JSON.parse(text) as Answer;
        if (response.status === 402) return this.#checkRefusal(text);
        last = `${response.status} ${text}`;
        if (response.status !== 503) break;
      } catch (error) {
        last = String(error);
      }
      await pause(20);
    }
    this.#problems.push(`a charge was answered ${last}`);
    return undefined;
  }

  #checkRefusal(text: string): undefined {
    const { error } = JSON.parse(text) as { error: { balance: string; held: string; required: string } };
    if (parseUnits(error.balance) - parseUnits(error.held) >= parseUnits(error.required))
      this.#problems.push(`refused without need: ${text}`);
  }

  async #act(fault: ProcessFault, model: Model, random: Random, n: number): Promise<boolean> {
    const { ref } = model.account;
    const stream = streamKey(shardOf(ref.id, 16));
    switch (fault) {
      case "repeated request":
        return await this.#repeat(random, n);
      case "top-up by post_credit":
      case "top-up by SQL":
        return await this.#topUp(model, fault === "top-up by SQL", random);
      case "hand-made DEL":
        return await tried(this.#billing.redis.del(`balance:{${stream}}:${ref.type}:${ref.ownerId}`));
      case "older producer":
        return await this.#sendAsOlderProducer(model, stream, random);
      case "dead letter":
        return await tried(this.#billing.redis.xadd(stream, "*", "deduction_id", randomUUID(), "cost", "NaN"));
      case "gateway SIGKILL":
        await pick(this.#gateways, random).process.kill();
        return true;
      case "worker SIGKILL":
        await pick(this.#workers, random).kill();
        return true;
      case "Postgres SIGKILL":
      case "Postgres stop":
        return await this.#restart("Postgres", async () => {
          await (fault === "Postgres stop" ? this.#postgres.stop() : this.#postgres.kill());
          this.#postgres = await startPostgres({ dir: this.#dir, port: this.#postgres.port, settings: quickPostgres });
        });
      case "Redis SIGKILL":
      case "Redis stop":
        return await this.#restart("Redis", async () => {
          if (fault === "Redis SIGKILL") await this.#redis.kill();
          await this.#redis.restart();
        });
    }
  }

  /** One restart of a server after the other. */
  async #restart(what: "Postgres" | "Redis", restart: () => Promise<void>): Promise<true> {
    this.#restarts[what] = this.#restarts[what].then(restart);
    await this.#restarts[what];
    return true;
  }

  /** The nearest earlier charge that was answered, asked again at any gateway. */
  async #repeat(random: Random, n: number): Promise<boolean> {
    let earlier = Math.floor(random() * n);
    while (earlier > 0 && !this.#done[earlier]) earlier -= 1;
    const done = this.#done[earlier];
    if (!done) return false;
    const again = await this.#ask(done.model, done.body, random);
    if (again?.deduction_id !== done.answer.deduction_id || again.balance_after !== done.answer.balance_after)
      this.#problems.push(
        `a repeated request was answered ${JSON.stringify(again)}, first ${JSON.stringify(done.answer)}`,
      );
    return true;
  }

  /** The reference tells whether a commit that nobody answered happened. */
  async #topUp(model: Model, bySql: boolean, random: Random): Promise<boolean> {
    const nanos = BigInt(1 + Math.floor(random() * 10_000_000_000));
    const reference = randomUUID();
    const values = [model.account.ref.id, formatUnits(nanos)];
    const posted = "SELECT data.post_credit($1, $2, 'top_up', $3, 'simulated', 'simulation')";
    const written = `WITH s AS MATERIALIZED (SELECT set_config('drawdown.reference', $3, true))
                     UPDATE data.account_balance a SET balance = a.balance + $2::numeric FROM s WHERE a.id = $1`;
    const known = "SELECT 1 FROM data.account_balance_audit WHERE reference = $1";
    await waitFor(
      async () => {
        const { rows } = await this.#db.$client.query(known, [reference]);
        if (rows.length === 0) await this.#db.$client.query(bySql ? written : posted, [...values, reference]);
        return true;
      },
      { timeoutMs: 60_000, what: "a top-up", intervalMs: 50 },
    );
    model.creditsNanos += nanos;
    return true;
  }

  /** From a key of its own: it lowers the credits. A command that was not answered may have been done: the id tells. */
  async #sendAsOlderProducer(model: Model, stream: string, random: Random): Promise<boolean> {
    const micros = Math.floor(random() * 100_000);
    const fields = {
      deduction_id: `ded_old_${randomUUID()}`,
      account_id: model.account.ref.id,
      account_type: "user",
      virtual_key: "vk_old",
      cost: String(micros / 1e6),
      provider: "sim",
      model: "sim-1",
    };
    const { redis } = this.#billing;
    const send = () => redis.xadd(stream, "*", ...Object.entries(fields).flat());
    const isThere = async () =>
      (await redis.xrange(stream, "-", "+")).some(([, flat]) => flat.includes(fields.deduction_id));
    const insist = { timeoutMs: 60_000, what: "an older producer's entry", intervalMs: 50 };
    await send().catch(() => waitFor(async () => (await isThere()) || (await send()), insist));
    model.creditsNanos -= BigInt(micros) * 1_000n;
    model.rows += 1;
    return true;
  }

  async problemsAtRest(): Promise<string[]> {
    await ready(this.#gateways);
    const last = this.#random(-2);
    const free = { provider: "sim", model: "sim-1", usage: { prompt_tokens: 0, completion_tokens: 0 } };
    // Every account is asked once more, so that it is loaded and every credit has somewhere to go.
    for (const model of this.#models)
      if (await this.#ask(model, { ...free, request_id: randomUUID() }, last)) model.rows += 1;
    await waitFor(() => this.#isAtRest(), { timeoutMs: 60_000, what: "everything settled and applied" }).catch(
      (error: unknown) => this.#problems.push(String(error)),
    );
    const chain = await verifyChain(this.#billing);
    const equation = await reconcile(this.#billing);
    if (!chain.ok) this.#problems.push(`verify-chain: ${JSON.stringify(chain.reports.filter(({ ok }) => !ok))}`);
    if (!equation.ok) this.#problems.push(`reconcile: ${JSON.stringify(equation.findings)}`);
    for (const model of this.#models) this.#problems.push(...(await this.#compare(model)));
    this.#problems.push(...this.complaints());
    // Nothing was lost, so nothing may look like a loss.
    const alarming =
      "SELECT kind, message, details FROM data.alert WHERE kind IN ('lost_epoch', 'drift', 'postgres_went_back', 'poison_rate')";
    for (const alert of (await this.#db.$client.query(alarming)).rows)
      this.#problems.push(`alert ${JSON.stringify(alert)}`);
    return this.#problems;
  }

  /** What processes said that nothing explains. */
  complaints(): string[] {
    return [...this.#gateways.map(({ process }) => process), ...this.#workers].flatMap(({ complaints }) => complaints);
  }

  async #isAtRest(): Promise<boolean> {
    const { totals } = await readStats(this.#billing);
    const { rows } = await this.#db.$client.query(
      "SELECT 1 FROM data.account_balance_audit WHERE applied_at IS NULL AND credits_version IS NOT NULL LIMIT 1",
    );
    return totals.pending === 0 && totals.lag === 0 && rows.length === 0;
  }

  async #compare({ account, creditsNanos, chargedNanos, rows }: Model): Promise<string[]> {
    const expected = [formatUnits(creditsNanos - chargedNanos), formatUnits(chargedNanos), rows];
    const redis = await peekBalance(this.#billing, account.ref);
    const { rows: books } = await this.#db.$client.query(
      `SELECT balance, total_debits, (SELECT count(*)::int FROM data.usage_log u WHERE u.account_id = a.id AND settled_at IS NOT NULL) AS rows
         FROM data.account_balance a WHERE id = $1`,
      [account.ref.id],
    );
    const inRedis = [formatUnits(redis?.balanceNanos ?? -1n), formatUnits(redis?.debitsNanos ?? -1n), rows];
    const inPostgres = [books[0]?.balance, books[0]?.total_debits, books[0]?.rows];
    return [
      ["Redis", inRedis],
      ["Postgres", inPostgres],
    ].flatMap(([store, found]) =>
      String(found) === String(expected)
        ? []
        : [`account ${account.ref.id}: ${String(store)} has ${String(found)}, the model ${String(expected)}`],
    );
  }
}

/** Undefined: a charge. */
function pickAct(random: Random): Act | undefined {
  let dice = random();
  for (const act of Object.keys(shares) as Act[]) {
    dice -= shares[act];
    if (dice < 0) return act;
  }
  return undefined;
}

function pick<T>(list: readonly T[], random: Random): T {
  const one = list[Math.floor(random() * list.length)];
  if (one === undefined) throw new Error("nothing to pick from");
  return one;
}

/** Something that Redis being away may prevent; then it did not happen, or is not needed. */
async function tried(command: Promise<unknown>): Promise<boolean> {
  return await command.then(
    () => true,
    () => false,
  );
}
