// What the console reads from its environment; nothing else here looks there. Read at the first request, not at the build, which has no
// stores.
import type { OperatorRole } from "@drawdown/db";
import { z } from "zod";

const filled = z.string().min(1);

/** `billing-admins=admin,support=support` */
const claimedRoles = z.string().transform((text, context): Map<string, OperatorRole> => {
  const roles = new Map<string, OperatorRole>();
  for (const pair of text.split(",")) {
    const [, value, role] = /^\s*(\S.*?)\s*=\s*(viewer|support|admin)\s*$/.exec(pair) ?? [];
    if (value === undefined) context.addIssue("must be like billing-admins=admin,support=support");
    else roles.set(value, role as OperatorRole);
  }
  return roles;
});

const settings = z
  .object({
    DATABASE_URL: filled,
    REDIS_URL: filled.optional(),
    REDIS_CLUSTER_NODES: filled.transform((text) => text.split(",").map((node) => node.trim())).optional(),
    NUM_SHARDS: z.coerce.number().int().min(1).max(16_384).default(16),
    CONSOLE_SESSION_HOURS: z.coerce.number().min(0.001).max(720).default(12),
    CONSOLE_URL: z
      .url({ protocol: /^https?$/ })
      .transform((text) => new URL(text).origin)
      .optional(),
    OIDC_ISSUER: z.url({ protocol: /^https?$/ }).optional(),
    OIDC_CLIENT_ID: filled.optional(),
    OIDC_CLIENT_SECRET: filled.optional(),
    OIDC_NAME: filled.max(64).default("single sign-on"),
    OIDC_SCOPES: filled.default("openid email profile").transform((text) => text.split(/[\s,]+/)),
    OIDC_ROLE_CLAIM: filled.default("groups"),
    OIDC_ROLES: claimedRoles.optional(),
    OIDC_OTHERS: z.enum(["refuse", "viewer"]).default("refuse"),
  })
  .refine((given) => (given.OIDC_ISSUER === undefined) === (given.OIDC_CLIENT_ID === undefined), {
    message: "and OIDC_CLIENT_ID belong together: set both or neither",
    path: ["OIDC_ISSUER"],
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
  /** Undefined: operators sign in with passwords alone. */
  singleSignOn: SingleSignOn | undefined;
}>;

export type SingleSignOn = Readonly<{
  issuer: string;
  clientId: string;
  clientSecret: string | undefined;
  /** On the button. */
  name: string;
  scopes: string[];
  /** The claim whose values `roles` gives roles to; undefined: an admin gives them. */
  roleClaim: string;
  roles: ReadonlyMap<string, OperatorRole> | undefined;
  /** Who has none of the roles. */
  others: "refuse" | "viewer";
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
  return Object.freeze({
    databaseUrl,
    redis,
    numShards,
    sessionHours,
    consoleUrl,
    singleSignOn: singleSignOn(parsed.data),
  });
}

function singleSignOn(given: z.infer<typeof settings>): SingleSignOn | undefined {
  const { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId } = given;
  if (issuer === undefined || clientId === undefined) return undefined;
  return Object.freeze({
    issuer,
    clientId,
    clientSecret: given.OIDC_CLIENT_SECRET,
    name: given.OIDC_NAME,
    scopes: given.OIDC_SCOPES,
    roleClaim: given.OIDC_ROLE_CLAIM,
    roles: given.OIDC_ROLES,
    others: given.OIDC_OTHERS,
  });
}
