// Sign-in. One instance of better-auth for each origin by which browsers reach this process, so that cookies, redirects and the check for
// other sites follow from the name that was used, and no address has to be set. Its tables are in data (schema-operators.ts).
import { randomBytes } from "node:crypto";
import type { GenericEndpointContext } from "better-auth";
import { betterAuth } from "better-auth";
import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { APIError, createAuthMiddleware } from "better-auth/api";
import { readConfig } from "@/server/config.ts";
import { books } from "@/server/domain.ts";
import { ownOrigin } from "@/server/same-site.ts";
import { COOKIE_PREFIX } from "@/server/session.ts";
import { db } from "@/server/stores.ts";

/** Guessing is slow, mistyping is not punished: a sign-in that goes well is not counted. */
const PER_EMAIL = { attempts: 5, windowSeconds: 300 };
const PER_ADDRESS = { attempts: 30, windowSeconds: 300 };
/** Names are up to who asks: only so many are kept. */
const MAX_ORIGINS = 16;
const SECRET = "console_secret";

type Auth = ReturnType<typeof createAuth>;

const held = globalThis as typeof globalThis & { drawdownAuth?: Map<string, Auth> };

/** Throws when the books, which keep the secret, are away. */
export async function authFor(headers: Headers): Promise<Auth> {
  const origin = ownOrigin(headers);
  const kept = (held.drawdownAuth ??= new Map());
  const found = kept.get(origin);
  if (found !== undefined) return found;
  const secret = await books.keepSecret(db(), SECRET, randomBytes(32).toString("base64url"));
  const [oldest] = kept.keys();
  if (kept.size >= MAX_ORIGINS && oldest !== undefined) kept.delete(oldest);
  const made = createAuth(origin, secret);
  kept.set(origin, made);
  return made;
}

function createAuth(origin: string, secret: string) {
  const { schema } = books;
  return betterAuth({
    appName: "Drawdown",
    baseURL: origin,
    secret,
    telemetry: { enabled: false },
    logger: { level: "error" },
    database: drizzleAdapter(db(), {
      provider: "pg",
      schema: {
        user: schema.operator,
        session: schema.operatorSession,
        account: schema.operatorCredential,
        verification: schema.operatorVerification,
      },
    }),
    user: {
      additionalFields: {
        role: { type: "string", required: true, input: false },
        disabledAt: { type: "date", required: false, input: false },
      },
    },
    account: { encryptOAuthTokens: true },
    emailAndPassword: { enabled: true, disableSignUp: true, minPasswordLength: 12, maxPasswordLength: 128 },
    // From the sign-in on, however much is done: the cookie ends with it.
    session: { expiresIn: readConfig().sessionHours * 3_600, disableSessionRefresh: true },
    rateLimit: { enabled: false },
    advanced: { cookiePrefix: COOKIE_PREFIX, database: { generateId: "uuid" } },
    hooks: { before: countAttempt, after: forgiveSuccess },
    databaseHooks: { session: { create: { before: refuseDisabled } } },
  });
}

async function refuseDisabled({ userId }: { userId: string }, context: GenericEndpointContext | null): Promise<void> {
  const operator = await context?.context.internalAdapter.findUserById(userId);
  if (!operator || !("disabledAt" in operator) || operator.disabledAt !== null)
    throw new APIError("FORBIDDEN", { message: "This operator is disabled." });
}

/** How often it may fail is counted before the password is looked at: guesses at once do not pass together. */
const countAttempt = createAuthMiddleware(async (context) => {
  if (context.path !== "/sign-in/email") return;
  const keys = attemptKeys(context.headers, context.body);
  for (const { key, rule } of keys) {
    const { waitSeconds } = await books.countSignIn(db(), key, rule);
    if (waitSeconds !== null)
      throw new APIError("TOO_MANY_REQUESTS", { message: "Too many attempts.", retryAfterSeconds: waitSeconds });
  }
});

const forgiveSuccess = createAuthMiddleware(async (context) => {
  if (context.path !== "/sign-in/email" || !context.context.newSession) return;
  for (const { key } of attemptKeys(context.headers, context.body)) await books.forgetSignIn(db(), key);
});

function attemptKeys(headers: Headers | undefined, body: unknown) {
  const email = typeof body === "object" && body !== null && "email" in body ? String(body.email) : "";
  // The nearest proxy's word: what stands before it is the sender's own.
  const address = headers?.get("x-forwarded-for")?.split(",").at(-1)?.trim() ?? "";
  return [
    { key: `address:${address.slice(0, 64)}`, rule: PER_ADDRESS },
    { key: `email:${email.trim().toLowerCase().slice(0, 320)}`, rule: PER_EMAIL },
  ];
}
