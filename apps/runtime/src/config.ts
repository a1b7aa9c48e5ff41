/**
 * The one place of this app that reads the environment. All of it is checked at once: one message lists every problem. What
 * `npm start` wrote to `.drawdown/stack.json` stands in for an unset DATABASE_URL and REDIS_URL, so that a command needs no settings
 * to talk to the stack that runs in this checkout.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { RETENTION_DAYS_LEAST } from "@drawdown/billing";
import { z } from "zod";
import { Problem } from "./problem.ts";

/** What a command cannot work without. */
export type Need = "database" | "redis";

export type Environment = Readonly<Record<string, string | undefined>>;

const stackFile = fileURLToPath(new URL("../../../.drawdown/stack.json", import.meta.url));

const port = (fallback: number) => whole(fallback, 1, 65_535);

function wholeNumber(least: number, most: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().min(least, `must be at least ${least}`).max(most, `must be at most ${most}`));
}

function whole(fallback: number, least: number, most: number) {
  return wholeNumber(least, most).default(fallback);
}

function url(...protocols: string[]) {
  const expected = `must be a URL beginning with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`;
  return z.string().refine((text) => protocols.includes(URL.parse(text)?.protocol ?? ""), expected);
}

const node = /^[^\s:,]+:\d{1,5}$/;
const clusterNodes = z
  .string()
  .transform((text) => text.split(",").map((part) => part.trim()))
  .refine((nodes) => nodes.every((part) => node.test(part)), "must be host:port, separated by commas");

const alertLevels = z
  .string()
  .transform((text) => text.split(",").map((part) => part.trim()))
  .pipe(
    z.array(z.enum(["info", "warning", "critical"], "must be some of info, warning, critical, separated by commas")),
  )
  .default(["warning", "critical"]);

const settings = z.object({
  DATABASE_URL: url("postgres:", "postgresql:").optional(),
  TEST_DATABASE_URL: url("postgres:", "postgresql:").optional(),
  REDIS_URL: url("redis:", "rediss:").optional(),
  REDIS_CLUSTER_NODES: clusterNodes.optional(),
  NUM_SHARDS: whole(16, 1, 16_384),
  GATEWAY_PORT: port(4000),
  CONSOLE_PORT: port(3000),
  CONSOLE_PROXIES: whole(0, 0, 10),
  LISTEN_HOST: z.string().default("127.0.0.1"),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  ALERT_WEBHOOK_URL: url("http:", "https:").optional(),
  ALERT_WEBHOOK_SECRET: z.string().optional(),
  ALERT_LEVELS: alertLevels,
  ALERT_BACKLOG: whole(50_000, 1, 1e12),
  ALERT_SHARD_IMBALANCE: whole(10, 2, 1e6),
  ALERT_OLDEST_UNSETTLED_SECONDS: whole(300, 1, 1e9),
  ALERT_DEAD_LETTERS: whole(0, 0, 1e9),
  ALERT_MEMORY_PERCENT: whole(60, 1, 100),
  DRAWDOWN_ADMIN_EMAIL: z.email("must be an e-mail address").optional(),
  DRAWDOWN_ADMIN_PASSWORD: z.string().min(12, "must have at least 12 characters").optional(),
  REQUEST_ID_TTL_MINUTES: whole(60, 1, 10_080),
  GATEWAY_MAX_IN_FLIGHT: whole(10_000, 1, 1_000_000),
  UPSTREAM_SILENCE_SECONDS: whole(300, 1, 3_600),
  DRAIN_SECONDS: whole(60, 0, 3_600),
  DRAIN_KILOBYTES: whole(16_384, 0, 1_000_000),
  HOLD_POLICY: z.enum(["available", "worst_case"], "must be available or worst_case").default("available"),
  START_PATIENCE_SECONDS: whole(60, 0, 86_400),
  CONSUMER_NAME: z
    .string()
    .regex(/^[\w.:-]{1,128}$/, "must be letters, digits and . : _ - only")
    .optional(),
  CONSUMER_BATCH_SIZE: wholeNumber(1, 10_000).optional(),
  CONSUMER_BLOCK_TIME_MS: wholeNumber(10, 60_000).optional(),
  CONSUMER_GATHER_MS: wholeNumber(0, 1_000).optional(),
  CONSUMER_MAX_RETRIES: wholeNumber(1, 100).optional(),
  CONSUMER_RETRY_DELAY_MS: wholeNumber(1, 60_000).optional(),
  CLEANUP_INTERVAL_MINUTES: whole(60, 1, 10_080),
  CLEANUP_FIRST_DELAY_MINUTES: whole(30, 0, 10_080),
  CLEANUP_MAX_AGE_HOURS: whole(24, 1, 8_760),
  CLEANUP_PRESSURE_AGE_MINUTES: whole(5, 1, 525_600),
  CLEANUP_BATCH_SIZE: whole(1_000, 1, 100_000),
  MONITOR_INTERVAL_MINUTES: whole(5, 1, 1_440),
  PROVE_INTERVAL_MINUTES: whole(1, 1, 1_440),
  RECONCILE_INTERVAL_MINUTES: whole(15, 1, 10_080),
  VERIFY_CHAIN_INTERVAL_MINUTES: whole(1_440, 1, 43_200),
  RETENTION_DAYS: wholeNumber(RETENTION_DAYS_LEAST, 36_500).optional(),
  RETENTION_DIR: z.string().optional(),
  RETENTION_INTERVAL_MINUTES: whole(1_440, 1, 43_200),
});

export type Config = Readonly<{
  /** Empty only when the command said that it needs none. */
  databaseUrl: string;
  redis: Readonly<{ redisUrl: string } | { clusterNodes: readonly string[] }>;
  numShards: number;
  gatewayPort: number;
  consolePort: number;
  /** How many proxies stand in front of the console, each of which names who asked it. */
  consoleProxies: number;
  listenHost: string;
  logLevel: z.infer<typeof settings>["LOG_LEVEL"];
  alerts: Readonly<{
    webhookUrl: string | undefined;
    webhookSecret: string | undefined;
    levels: readonly ("info" | "warning" | "critical")[];
    backlog: number;
    shardImbalance: number;
    oldestUnsettledMs: number;
    /** Open ones beyond these are an alert. */
    deadLetters: number;
    /** 0 to 1, of `maxmemory`. */
    memoryShare: number;
  }>;
  admin: Readonly<{ email: string; password: string }> | undefined;
  requestTtlMs: number;
  /** Requests that a gateway answers at once; more are refused. */
  maxInFlight: number;
  /** The longest a provider may say nothing: before its answer's head, and between two pieces of it. */
  upstreamSilenceMs: number;
  /** How long, and how many bytes, a provider is still read for a client that has left. */
  drain: Readonly<{ ms: number; bytes: number }>;
  /** When less is available than a call may cost: hold what is there if that covers its prompt and a short answer, or refuse. */
  holdPolicy: "available" | "worst_case";
  /** How long a starting gateway or worker waits for a store that is away. */
  startPatienceMs: number;
  /** Undefined: the worker takes a name of its own. */
  consumerName: string | undefined;
  /** Only what is set: the rest is as `consume` has it. */
  consumer: Readonly<Partial<Record<"batchSize" | "blockTimeMs" | "gatherMs" | "maxRetries" | "retryDelayMs", number>>>;
  cleanup: Readonly<{
    intervalMs: number;
    firstDelayMs: number;
    maxAgeMs: number;
    /** In place of `maxAgeMs` while memory is above the alert's share. */
    pressureMaxAgeMs: number;
    batchSize: number;
  }>;
  monitorIntervalMs: number;
  proveIntervalMs: number;
  reconcileIntervalMs: number;
  verifyChainIntervalMs: number;
  /** Undefined: nothing is ever removed. */
  retention: Readonly<{ days: number; directory: string; intervalMs: number }> | undefined;
  /** Every secret value that is known here, for the log to leave out. */
  secrets: readonly string[];
}>;

/** Reads and checks everything. Throws a `Problem` that names every setting that is wrong or missing. */
export function readConfig(
  needs: readonly Need[],
  environment: Environment = process.env,
  stackPath: string = stackFile,
): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = settings.safeParse(given);
  const problems = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`);
  if (given["REDIS_URL"] !== undefined && given["REDIS_CLUSTER_NODES"] !== undefined) {
    problems.push("REDIS_URL and REDIS_CLUSTER_NODES exclude each other: set one of them");
  }
  if ((given["DRAWDOWN_ADMIN_EMAIL"] === undefined) !== (given["DRAWDOWN_ADMIN_PASSWORD"] === undefined)) {
    problems.push("DRAWDOWN_ADMIN_EMAIL and DRAWDOWN_ADMIN_PASSWORD belong together: set both or neither");
  }
  if ((given["RETENTION_DAYS"] === undefined) !== (given["RETENTION_DIR"] === undefined)) {
    problems.push("RETENTION_DAYS and RETENTION_DIR belong together: set both or neither");
  }
  const stores = findStores(given, needs, stackPath, problems);
  if (!parsed.success || problems.length > 0) {
    throw new Problem(`The settings cannot be used:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
  }
  return freeze(parsed.data, stores, secretsOf({ ...given, ...stores }));
}

type Stores = { databaseUrl: string; redisUrl: string };

/** A running stack stands in only where it is sure to be the same one: a named database is never paired with another's Redis. */
function findStores(
  given: Record<string, string | undefined>,
  needs: readonly Need[],
  stackPath: string,
  problems: string[],
): Stores {
  const [database, redis] = [given["DATABASE_URL"], given["REDIS_URL"]];
  const clustered = given["REDIS_CLUSTER_NODES"] !== undefined;
  const found: Stores = { databaseUrl: database ?? "", redisUrl: redis ?? "" };
  const missing = { database: database === undefined, redis: redis === undefined && !clustered };
  if (!missing.database && !missing.redis) return found;
  const stack = readStack(stackPath);
  const same =
    stack !== undefined &&
    !clustered &&
    (database === undefined || database === stack.databaseUrl) &&
    (redis === undefined || redis === stack.redisUrl);
  if (same) return stack;
  const hint =
    stack === undefined ? ": set it, or run `npm start` in this checkout" : " and belongs to no running stack";
  if (needs.includes("database") && missing.database) problems.push(`DATABASE_URL is not set${hint}`);
  if (needs.includes("redis") && missing.redis) problems.push(`REDIS_URL is not set${hint}`);
  return found;
}

function readStack(path: string): Stores | undefined {
  try {
    const stack = z
      .object({ databaseUrl: z.string(), redisUrl: z.string() })
      .safeParse(JSON.parse(readFileSync(path, "utf8")));
    return stack.success ? stack.data : undefined;
  } catch {
    return undefined;
  }
}

const minuteMs = 60_000;

function freeze(data: z.infer<typeof settings>, stores: Stores, secrets: string[]): Config {
  const { DRAWDOWN_ADMIN_EMAIL: email, DRAWDOWN_ADMIN_PASSWORD: password } = data;
  const { RETENTION_DAYS: days, RETENTION_DIR: directory } = data;
  return Object.freeze({
    databaseUrl: stores.databaseUrl,
    redis: Object.freeze(
      data.REDIS_CLUSTER_NODES === undefined
        ? { redisUrl: stores.redisUrl }
        : { clusterNodes: Object.freeze(data.REDIS_CLUSTER_NODES) },
    ),
    numShards: data.NUM_SHARDS,
    gatewayPort: data.GATEWAY_PORT,
    consolePort: data.CONSOLE_PORT,
    consoleProxies: data.CONSOLE_PROXIES,
    listenHost: data.LISTEN_HOST,
    logLevel: data.LOG_LEVEL,
    alerts: Object.freeze({
      webhookUrl: data.ALERT_WEBHOOK_URL,
      webhookSecret: data.ALERT_WEBHOOK_SECRET,
      levels: Object.freeze(data.ALERT_LEVELS),
      backlog: data.ALERT_BACKLOG,
      shardImbalance: data.ALERT_SHARD_IMBALANCE,
      oldestUnsettledMs: data.ALERT_OLDEST_UNSETTLED_SECONDS * 1_000,
      deadLetters: data.ALERT_DEAD_LETTERS,
      memoryShare: data.ALERT_MEMORY_PERCENT / 100,
    }),
    admin: email === undefined || password === undefined ? undefined : Object.freeze({ email, password }),
    requestTtlMs: data.REQUEST_ID_TTL_MINUTES * minuteMs,
    maxInFlight: data.GATEWAY_MAX_IN_FLIGHT,
    upstreamSilenceMs: data.UPSTREAM_SILENCE_SECONDS * 1_000,
    drain: Object.freeze({ ms: data.DRAIN_SECONDS * 1_000, bytes: data.DRAIN_KILOBYTES * 1_024 }),
    holdPolicy: data.HOLD_POLICY,
    startPatienceMs: data.START_PATIENCE_SECONDS * 1_000,
    consumerName: data.CONSUMER_NAME,
    consumer: Object.freeze({
      ...(data.CONSUMER_BATCH_SIZE === undefined ? {} : { batchSize: data.CONSUMER_BATCH_SIZE }),
      ...(data.CONSUMER_BLOCK_TIME_MS === undefined ? {} : { blockTimeMs: data.CONSUMER_BLOCK_TIME_MS }),
      ...(data.CONSUMER_GATHER_MS === undefined ? {} : { gatherMs: data.CONSUMER_GATHER_MS }),
      ...(data.CONSUMER_MAX_RETRIES === undefined ? {} : { maxRetries: data.CONSUMER_MAX_RETRIES }),
      ...(data.CONSUMER_RETRY_DELAY_MS === undefined ? {} : { retryDelayMs: data.CONSUMER_RETRY_DELAY_MS }),
    }),
    cleanup: Object.freeze({
      intervalMs: data.CLEANUP_INTERVAL_MINUTES * minuteMs,
      firstDelayMs: data.CLEANUP_FIRST_DELAY_MINUTES * minuteMs,
      maxAgeMs: data.CLEANUP_MAX_AGE_HOURS * 60 * minuteMs,
      pressureMaxAgeMs: data.CLEANUP_PRESSURE_AGE_MINUTES * minuteMs,
      batchSize: data.CLEANUP_BATCH_SIZE,
    }),
    monitorIntervalMs: data.MONITOR_INTERVAL_MINUTES * minuteMs,
    proveIntervalMs: data.PROVE_INTERVAL_MINUTES * minuteMs,
    reconcileIntervalMs: data.RECONCILE_INTERVAL_MINUTES * minuteMs,
    verifyChainIntervalMs: data.VERIFY_CHAIN_INTERVAL_MINUTES * minuteMs,
    retention:
      days === undefined || directory === undefined
        ? undefined
        : Object.freeze({ days, directory, intervalMs: data.RETENTION_INTERVAL_MINUTES * minuteMs }),
    secrets: Object.freeze(secrets),
  });
}

/** Whoever knows a webhook's address can post to it. */
const secretName = /(_KEY|_SECRET|_TOKEN|PASSWORD|WEBHOOK_URL)$/;

/** Values of variables that are named like a secret, and the passwords inside of URLs, as written and decoded. */
function secretsOf(given: Record<string, string | undefined>): string[] {
  const found = new Set<string>();
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (secretName.test(name)) found.add(value);
    const password = value.includes("://") ? URL.parse(value)?.password : undefined;
    if (!password) continue;
    found.add(password);
    try {
      found.add(decodeURIComponent(password));
    } catch {
      // Not percent-encoded after all: the written form is the password.
    }
  }
  return [...found];
}

/** The key that a provider's row names (`provider.api_key_env`). It is read at each use, so that nothing keeps a copy. */
export function providerKey(name: string, environment: Environment = process.env): string | undefined {
  return environment[name] || undefined;
}

/** The environment for a process of ours that is started from here. */
export function childEnvironment(changes: Record<string, string>): Record<string, string | undefined> {
  return { ...process.env, ...changes };
}

/** What the pages read from the environment: the stores as they were found here, also those of the checkout's running stack. */
export function handToConsole({ databaseUrl, redis, numShards }: Config): void {
  const stores = "redisUrl" in redis ? { REDIS_URL: redis.redisUrl } : {};
  Object.assign(process.env, {
    DATABASE_URL: databaseUrl,
    ...stores,
    NUM_SHARDS: String(numShards),
    NODE_ENV: "production",
  });
}
