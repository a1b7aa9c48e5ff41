// Connections to Redis. A client never sends an unanswered command again by itself and never queues while it is disconnected:
// an unanswered charge is the caller's to ask again with its request id, so that nothing is drawn twice unseen.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Cluster, Command, Redis, type RedisOptions } from "ioredis";
import { BillingError } from "./errors.ts";

export type RedisClient = Redis | Cluster;

/** Where Redis is: one server by address, or a cluster by some of its nodes (`host:port`). */
export type RedisAddress = { redisUrl: string } | { clusterNodes: readonly string[] };

const ANSWER_TIMEOUT_MS = 5_000;
/** How often to look whether a Redis that is reading its file is done; ioredis waits a second at least. */
const LOADING_LOOK_MS = 100;

/**
 * Opens a client for commands that answer at once, or with `blocking` for one read that may wait. Reconnects for ever; while
 * disconnected every command fails.
 */
export function connectRedis(address: RedisAddress, options: { blocking?: boolean } = {}): RedisClient {
  const retryStrategy = (attempt: number) => Math.min(attempt * 50, 1_000);
  const connection = {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: ANSWER_TIMEOUT_MS,
    maxLoadingRetryTime: LOADING_LOOK_MS,
    ...(options.blocking ? {} : { commandTimeout: ANSWER_TIMEOUT_MS }),
  } satisfies RedisOptions;
  const client =
    "redisUrl" in address
      ? new Redis(address.redisUrl, { ...connection, enableOfflineQueue: false, retryStrategy })
      : new FailingCluster([...address.clusterNodes], {
          redisOptions: connection,
          clusterRetryStrategy: retryStrategy,
          // Else what a broken connection left unanswered is sent again after it.
          retryDelayOnFailover: 0,
        });
  // Without a listener ioredis prints every failed reconnect; commands that fail tell their callers themselves.
  client.on("error", () => {});
  return client;
}

/**
 * Fails at once what it is asked while the cluster is away. ioredis would keep it until the cluster is back, without a deadline; its setting
 * against that (`enableOfflineQueue`) also fails whatever comes while the connection to a node is being made, which its first command does.
 */
class FailingCluster extends Cluster {
  override sendCommand(...sent: Parameters<Cluster["sendCommand"]>): unknown {
    const [command] = sent;
    // By CLUSTER INFO it finds out whether it is ready.
    if (this.status === "ready" || command.name === "cluster") return super.sendCommand(...sent);
    command.reject(new Error(`the cluster is away: ${this.status}`));
    return command.promise;
  }
}

/** Waits until the client can take commands. Throws `redis_unavailable` after the deadline, or when the client was disconnected. */
export async function redisReady(redis: RedisClient, timeoutMs: number): Promise<void> {
  if (redis.status === "ready") return;
  const away = () => new BillingError("redis_unavailable", "The balance store cannot be reached.");
  if (redis.status === "end") throw away();
  await new Promise<void>((resolve, reject) => {
    const settle = (done: () => void) => () => {
      clearTimeout(timer);
      redis.off("ready", ready);
      redis.off("end", giveUp);
      done();
    };
    const ready = settle(resolve);
    const giveUp = settle(() => reject(away()));
    const timer = setTimeout(giveUp, timeoutMs);
    redis.once("ready", ready);
    redis.once("end", giveUp);
  });
}

/** The servers that hold keys, for commands that do not follow a key (SCAN, INFO). */
export function redisServers(redis: RedisClient): Redis[] {
  return redis instanceof Cluster ? redis.nodes("master") : [redis];
}

/** A Lua script with the arithmetic that all of them share. */
export type Script = { readonly source: string; readonly sha: string };

export function loadScript(...files: string[]): Script {
  const read = (name: string) => readFileSync(new URL(name, import.meta.url), "utf8");
  const source = ["./exact.lua", ...files].map(read).join("\n");
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

/** Runs a script by its digest, sending the text once to a server that does not know it (NOSCRIPT: it has not run). */
export async function runScript(
  redis: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  try {
    return await sendOnce(redis, "evalsha", [script.sha, keys.length, ...keys, ...args]);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw redisFailure(error);
  }
  try {
    return await sendOnce(redis, "eval", [script.source, keys.length, ...keys, ...args]);
  } catch (error) {
    throw redisFailure(error);
  }
}

/**
 * A command whose arguments are let go once it was answered. A command of ioredis stays in memory until the next full collection, and keeps
 * whatever it holds out of the quick ones (docs/decisions/0134-what-was-sent-is-let-go.md): a reply with much in it is emptied by who read it.
 */
async function sendOnce(redis: RedisClient, name: string, args: (string | number)[]): Promise<unknown> {
  const command = new Command(name, args, { replyEncoding: "utf8" });
  try {
    return await redis.sendCommand(command);
  } finally {
    command.args.length = 0;
  }
}

/** What a failed command means to a caller: the store is out of memory, or it cannot be reached. */
export function redisFailure(error: unknown): BillingError {
  if (error instanceof BillingError) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (text.startsWith("OOM") || text.includes("used memory > 'maxmemory'"))
    return new BillingError("redis_memory", "The balance store is out of memory.", { cause: error });
  return new BillingError("redis_unavailable", "The balance store cannot be reached.", { cause: error, message: text });
}

/** A script's reply is an array of text and arrays; anything else is a bug of ours. */
export function replyArray(reply: unknown): unknown[] {
  if (!Array.isArray(reply)) throw new TypeError(`a script answered ${typeof reply}, not an array`);
  return reply;
}

export function replyText(value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`a script answered ${typeof value}, not text`);
  return value;
}
