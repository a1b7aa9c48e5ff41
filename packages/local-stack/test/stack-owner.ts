// A process that starts both servers below the folder it is given, says where, and stays until it is killed.
import { join } from "node:path";
import { startPostgres, startRedis } from "../src/index.ts";

const dir = process.argv[2];
if (dir === undefined) throw new Error("Which folder?");
const postgres = await startPostgres({ dir: join(dir, "postgres") });
const redis = await startRedis({ dir: join(dir, "redis") });
const { pid, port, url } = postgres;
process.stdout.write(
  `${JSON.stringify({ postgres: { pid, port, url }, redis: { pid: redis.pid, url: redis.url } })}\n`,
);
process.stdin.resume();
