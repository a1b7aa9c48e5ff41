/**
 * Gateways and workers as an orchestrator keeps them: real processes, each started again whenever it ends, however it ended. What a
 * process says when it ends by itself is kept, so that an end that no killed store explains is seen.
 */
import { randomUUID } from "node:crypto";
import { type AccountRef, hashSecret } from "@drawdown/billing";
import { type Db, putVirtualKey } from "@drawdown/db";
import { answers, type Started, start } from "./stage.ts";

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

/** What ends a process that is sound: a store that is away at its start, or its name gone while Postgres was away. */
const soundEnds =
  /reach|starting up|shutting down|terminat|too many clients|another worker has taken this worker's name/i;

/** One process that is always there again. */
export class Kept {
  readonly #args: readonly string[];
  readonly #env: Record<string, string>;
  readonly #life: Promise<void>;
  #now: Started;
  #stopping = false;
  /** Ends by itself, with what was said, that nothing explains; and error lines of those that were killed. */
  readonly complaints: string[] = [];
  starts = 1;

  constructor(args: readonly string[], env: Record<string, string>) {
    this.#args = args;
    this.#env = env;
    this.#now = start(args, env);
    this.#life = this.#live();
  }

  async #live(): Promise<void> {
    for (;;) {
      const { code, signal } = await this.#now.exited;
      this.#listenTo(this.#now.stderr(), code, signal);
      if (this.#stopping) return;
      this.starts += 1;
      this.#now = start(this.#args, this.#env);
    }
  }

  #listenTo(said: string, code: number | null, signal: NodeJS.Signals | null): void {
    const grave = said.split("\n").filter((line) => /"level":(50|60)|unhandled|deadlock|TypeError/i.test(line));
    const ended = code !== 0 && signal === null && !soundEnds.test(said) ? [`exit ${code}: ${said.slice(-2_000)}`] : [];
    this.complaints.push(...grave.filter((line) => !soundEnds.test(line)), ...ended);
  }

  /** SIGKILL to the process group; resolves when it is gone. */
  async kill(): Promise<void> {
    const { exited, child } = this.#now;
    if (child.exitCode === null && child.signalCode === null) this.#now.signal("SIGKILL");
    await exited;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const { child } = this.#now;
    if (child.exitCode === null && child.signalCode === null) this.#now.signal("SIGTERM");
    await this.#life;
  }
}

/** A gateway that is kept, and its address. */
export function keepGateway(env: Record<string, string>, port: number): { process: Kept; url: string } {
  const process = new Kept(["gateway"], { ...env, GATEWAY_PORT: String(port) });
  return { process, url: `http://127.0.0.1:${port}` };
}

export async function ready(gateways: readonly { url: string }[]): Promise<void> {
  await Promise.all(gateways.map(({ url }) => answers(`${url}/readyz`, 200)));
}

export type FleetAccount = { ref: AccountRef; apiKey: string };

/** Users with an account and a key each. `balance` in units. */
export async function openAccounts(db: Db, count: number, balance: string): Promise<FleetAccount[]> {
  const accounts: FleetAccount[] = [];
  for (let i = 0; i < count; i += 1) {
    const [id, ownerId, secret] = [randomUUID(), randomUUID(), randomUUID()];
    await db.$client.query("INSERT INTO data.user_profile (id, email, name) VALUES ($1, $2, $2)", [
      ownerId,
      `${ownerId}@example.test`,
    ]);
    const sql = "INSERT INTO data.account_balance (id, owner_userid, currency, balance) VALUES ($1, $2, 'USD', $3)";
    await db.$client.query(sql, [id, ownerId, balance]);
    const virtualKey = `vk_${id}`;
    await putVirtualKey(db, { virtualKey, secretSha256: hashSecret(secret), userId: ownerId });
    accounts.push({ ref: { id, ownerId, type: "user", currency: "USD" }, apiKey: `${virtualKey}.${secret}` });
  }
  return accounts;
}
