// Further connections to a single server, for what is sent to it in bulk. Redis reads 16 kB at most from a
// connection before it writes and syncs its file (`appendfsync always`): through one connection each sync would be for some twenty charges.
// A lane is used only while it is known to lead to the server that the shard's fence was verified on; else the main connection is.
import type { Billing } from "./billing.ts";
import { connectRedis, type RedisClient } from "./redis.ts";

/** `server`: the replication id as it stands in a fence token, once asked for on the present connection. */
type Lane = { client: RedisClient; server: string | undefined; asking: boolean };

const MAX_LANES = 8;

export class Lanes {
  readonly #billing: Billing;
  readonly #lanes = new Map<number, Lane>();

  constructor(billing: Billing) {
    this.#billing = billing;
  }

  /** The connection to run a shard's script on, given the fence token that goes with it. */
  of(shard: number, token: string): RedisClient {
    if ("clusterNodes" in this.#billing.address) return this.#billing.redis; // each node has a connection of its own
    const lane = this.#lanes.get(shard % MAX_LANES) ?? this.#open(shard % MAX_LANES);
    if (lane.server !== undefined && token.includes(lane.server)) return lane.client;
    void askServer(lane);
    return this.#billing.redis;
  }

  close(): void {
    for (const { client } of this.#lanes.values()) client.disconnect();
  }

  #open(number: number): Lane {
    const lane: Lane = { client: connectRedis(this.#billing.address), server: undefined, asking: false };
    lane.client.on("close", () => (lane.server = undefined));
    this.#lanes.set(number, lane);
    return lane;
  }
}

async function askServer(lane: Lane): Promise<void> {
  if (lane.asking || lane.client.status !== "ready") return;
  lane.asking = true;
  try {
    const said = await lane.client.info("replication");
    // A replica has its master's id, and keeps our connection when it is promoted.
    lane.server = /^role:master\b/m.test(said) ? `:${/^master_replid:(\w+)/m.exec(said)?.[1]}:` : undefined;
  } catch {
    lane.server = undefined;
  } finally {
    lane.asking = false;
  }
}
