import { rm } from "node:fs/promises";
import type { RunningServer } from "./postgres.ts";
import { type RedisOptions, startRedis } from "./redis.ts";
import { testFolder } from "./test-run.ts";

export type TestRedis = {
  url: string;
  port: number;
  /** Stops it for good and removes its data; harmless twice. */
  stop(): Promise<void>;
  /** SIGKILL; `restart` brings it back with what was on disk. */
  kill(): Promise<void>;
  /** Starts it again on the same port, stopping it gently first when it runs: with the same data, or with `emptied` without any. */
  restart(options?: { emptied: boolean }): Promise<void>;
};

/** A Redis of the caller's own, empty, in a temporary folder, with `appendfsync always`. */
export async function testRedis(options: Omit<RedisOptions, "dir"> = {}): Promise<TestRedis> {
  const dir = await testFolder("redis");
  let server: RunningServer = await startRedis({ ...options, dir });
  // Clients reconnect to the same port after a restart.
  const { port } = server;
  return {
    url: server.url,
    port,
    stop: async () => {
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
    kill: () => server.kill(),
    restart: async ({ emptied } = { emptied: false }) => {
      await server.stop();
      if (emptied) await rm(dir, { recursive: true, force: true });
      server = await startRedis({ ...options, dir, port });
    },
  };
}
