// What the console reads from its environment; nothing else here looks there. Read at the first request, not at the build, which has no
// stores. Sign-in has settings of its own (auth.ts asks for them here).
import { z } from "zod";

const filled = z.string().min(1);

const settings = z
  .object({
    DATABASE_URL: filled,
    REDIS_URL: filled.optional(),
    REDIS_CLUSTER_NODES: filled.transform((text) => text.split(",").map((node) => node.trim())).optional(),
    NUM_SHARDS: z.coerce.number().int().min(1).max(1024).default(16),
    CONSOLE_SESSION_HOURS: z.coerce.number().min(0.001).max(720).default(12),
    CONSOLE_URL: z
      .url({ protocol: /^https?$/ })
      .transform((text) => new URL(text).origin)
      .optional(),
  })
  .refine((given) => (given.REDIS_URL === undefined) !== (given.REDIS_CLUSTER_NODES === undefined), {
    message: "set REDIS_URL or REDIS_CLUSTER_NODES, one of them",
    path: ["REDIS_URL"],
  });

export type Config = Readonly<{
  databaseUrl: string;
  redis: { redisUrl: string } | { clusterNodes: readonly string[] };
  numShards: number;
  /** How long a sign-in lasts. */
  sessionHours: number;
  /** The origin by which browsers reach the console; undefined: as each request says. */
  consoleUrl: string | undefined;
}>;

let config: Config | undefined;

/** Throws one error that names every setting that is wrong. */
export function readConfig(): Config {
  config ??= parse(process.env);
  return config;
}

function parse(environment: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const parsed = settings.safeParse(given);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`);
    throw new Error(`The settings cannot be used: ${problems.join("; ")}`);
  }
  const {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    REDIS_CLUSTER_NODES: nodes,
    NUM_SHARDS: numShards,
    CONSOLE_SESSION_HOURS: sessionHours,
    CONSOLE_URL: consoleUrl,
  } = parsed.data;
  const redis = nodes === undefined ? { redisUrl: redisUrl ?? "" } : { clusterNodes: nodes };
  return Object.freeze({ databaseUrl, redis, numShards, sessionHours, consoleUrl });
}
