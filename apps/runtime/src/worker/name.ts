/**
 * A worker's name in the consumer group: the same at each start on a host, so that it finds its own pending entries again, and never
 * the name of another that lives. Which numbers of a host are taken is said by advisory locks in Postgres, without which no worker works.
 */
import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";

const mostWorkersPerHost = 1_000;
const retryMs = 1_000;

export type WorkerName = {
  name: string;
  /** Gives the name back. Harmless twice. */
  release: () => Promise<void>;
};

/**
 * Takes the first free name of this host. When the connection that holds it breaks, the lock is taken again; `onLost` is called if
 * another worker got it in between: two of one name would leave each other's entries lying. Throws what the connection throws.
 */
export async function takeName(
  databaseUrl: string,
  onLost: () => void,
  host: string = hostname(),
): Promise<WorkerName> {
  const released = new AbortController();
  let client = await connect(databaseUrl);
  const number = await firstFree(client, host).catch(async (error: unknown) => {
    await client.end().catch(() => undefined);
    throw error;
  });
  const keepWatch = (): void => {
    client.once("end", () => {
      if (!released.signal.aborted) void takeAgain();
    });
  };
  const takeAgain = async (): Promise<void> => {
    while (!released.signal.aborted) {
      try {
        client = await connect(databaseUrl);
        if (!(await lock(client, host, number))) return onLost();
        return keepWatch();
      } catch {
        await wait(retryMs, undefined, { signal: released.signal }).catch(() => undefined);
      }
    }
  };
  keepWatch();
  return {
    name: `${host}-${number}`,
    release: async () => {
      if (released.signal.aborted) return;
      released.abort();
      await client.end().catch(() => undefined);
    },
  };
}

async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: "drawdown worker name",
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function firstFree(client: pg.Client, host: string): Promise<number> {
  for (let number = 1; number <= mostWorkersPerHost; number += 1) if (await lock(client, host, number)) return number;
  throw new Error(`all ${mostWorkersPerHost} worker names of ${host} are taken`);
}

async function lock(client: pg.Client, host: string, number: number): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>(
    "SELECT pg_try_advisory_lock(hashtext('drawdown worker ' || $1), $2) AS taken",
    [host, number],
  );
  return rows[0]?.taken === true;
}
