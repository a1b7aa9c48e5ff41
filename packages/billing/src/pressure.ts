// Back-pressure before memory runs out: from 80 % of `maxmemory` new charges are refused, while what was delivered already,
// credits and settling go on. Looked at each second, so that nothing is asked on the path of a charge.
import { BillingError } from "./errors.ts";
import { type RedisClient, redisServers } from "./redis.ts";

const LOOK_EVERY_MS = 1_000;
const REFUSE_ABOVE = 0.8;

export class Pressure {
  readonly #redis: RedisClient;
  #high = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(redis: RedisClient) {
    this.#redis = redis;
  }

  async start(): Promise<void> {
    await this.look();
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Throws `redis_memory` while any server is above the limit. */
  refuseNewWork(): void {
    if (this.#high) throw new BillingError("redis_memory", "The balance store is almost full.");
  }

  /** Looks now. A server that does not answer changes nothing: the charge itself will tell. */
  async look(): Promise<void> {
    const shares = await Promise.all(
      redisServers(this.#redis).map((server) => server.info("memory").then(shareOf, () => undefined)),
    );
    if (shares.some((share) => share !== undefined))
      this.#high = shares.some((share) => share !== undefined && share >= REFUSE_ABOVE);
  }
}

/** Used memory as a share of `maxmemory`; 0 when there is no limit. */
function shareOf(info: string): number {
  const value = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
  const max = value("maxmemory");
  return max === 0 ? 0 : value("used_memory") / max;
}
