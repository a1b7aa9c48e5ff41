// Sign-in. One instance of better-auth for each origin by which browsers reach this process, so that cookies, redirects and the check for
// other sites follow from the name that was used, and no address has to be set. Its tables are in data (schema-operators.ts).
import { randomBytes } from "node:crypto";
import type { GenericEndpointContext } from "better-auth";
import { betterAuth } from "better-auth";
import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { APIError, createAuthMiddleware } from "better-auth/api";
import { countAttempt, forgiveAttempt } from "@/server/attempts.ts";
import { readConfig } from "@/server/config.ts";
import { books } from "@/server/domain.ts";
import { ownOrigin } from "@/server/same-site.ts";
import { COOKIE_PREFIX } from "@/server/session.ts";
import { PROVIDER, refusalOf, singleSignOnPlugin } from "@/server/single-sign-on.ts";
import { db } from "@/server/stores.ts";

/** Names are up to who asks: only so many are kept. */
const MAX_ORIGINS = 16;
const SECRET = "console_secret";

type Auth = ReturnType<typeof createAuth>;

const held = globalThis as typeof globalThis & { drawdownAuth?: Map<string, Auth> };

/**
 * `singleSignOn`: with the identity provider, which is asked when it is made; a password needs none. Throws when the books, which keep
 * the secret, are away.
 */
export async function authFor(headers: Headers, { singleSignOn = false } = {}): Promise<Auth> {
  const origin = ownOrigin(headers);
  const name = `${origin} ${singleSignOn}`;
  const kept = (held.drawdownAuth ??= new Map());
  const found = kept.get(name);
  if (found !== undefined) return found;
  const secret = await books.keepSecret(db(), SECRET, randomBytes(32).toString("base64url"));
  const [oldest] = kept.keys();
  if (kept.size >= MAX_ORIGINS && oldest !== undefined) kept.delete(oldest);
  const made = createAuth(origin, secret, singleSignOn);
  kept.set(name, made);
  return made;
}

function createAuth(origin: string, secret: string, withSingleSignOn: boolean) {
  const { schema } = books;
  const { sessionHours, singleSignOn } = readConfig();
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
      validateUserInfo: ({ source }) => refusalOf(source.oauth?.profile ?? {}),
      additionalFields: {
        role: { type: "string", required: true, input: false },
        disabledAt: { type: "date", required: false, input: false },
      },
    },
    account: {
      encryptOAuthTokens: true,
      // Who deploys has chosen the provider: its word on an e-mail is enough to be the operator of that e-mail.
      accountLinking: { trustedProviders: [PROVIDER], requireLocalEmailVerified: false },
    },
    plugins: withSingleSignOn && singleSignOn !== undefined ? [singleSignOnPlugin(singleSignOn)] : [],
    onAPIError: { errorURL: "/sign-in" },
    emailAndPassword: { enabled: true, disableSignUp: true, minPasswordLength: 12, maxPasswordLength: 128 },
    // From the sign-in on, however much is done: the cookie ends with it.
    session: { expiresIn: sessionHours * 3_600, disableSessionRefresh: true },
    rateLimit: { enabled: false },
    advanced: { cookiePrefix: COOKIE_PREFIX, database: { generateId: "uuid" } },
    hooks: { before: refuseTooMany, after: forgiveSuccess },
    databaseHooks: { session: { create: { before: refuseDisabled } } },
  });
}

async function refuseDisabled({ userId }: { userId: string }, context: GenericEndpointContext | null): Promise<void> {
  const operator = await context?.context.internalAdapter.findUserById(userId);
  if (!operator || !("disabledAt" in operator) || operator.disabledAt !== null)
    throw new APIError("FORBIDDEN", { code: "disabled", message: "This operator is disabled." });
}

const refuseTooMany = createAuthMiddleware(async (context) => {
  if (context.path !== "/sign-in/email") return;
  const waitSeconds = await countAttempt({ email: emailOf(context.body), headers: context.headers });
  if (waitSeconds !== null)
    throw new APIError("TOO_MANY_REQUESTS", { message: "Too many attempts.", retryAfterSeconds: waitSeconds });
});

const forgiveSuccess = createAuthMiddleware(async (context) => {
  if (context.path !== "/sign-in/email" || !context.context.newSession) return;
  await forgiveAttempt({ email: emailOf(context.body), headers: context.headers });
});

function emailOf(body: unknown): string {
  return typeof body === "object" && body !== null && "email" in body ? String(body.email) : "";
}
