// The procedures' ground: who asks, and with what. Every procedure begins as one of three, by the least role that may call it; a test
// walks all of them with every role.
import type { Billing } from "@drawdown/billing";
import type { Db } from "@drawdown/db";
import { initTRPC, TRPCError } from "@trpc/server";
import superjson from "superjson";
import { storeFailure, toTrpcError } from "@/server/errors.ts";
import { mayAs, type Role } from "@/server/roles.ts";
import { type Operator, readOperator } from "@/server/session.ts";
import { billing, db } from "@/server/stores.ts";

export type Context = {
  headers: Headers;
  /** The books; a query of them fails by itself when Postgres is away. */
  db: Db;
  /** Opens Redis when that was not done yet; throws when it is away. */
  billing: () => Promise<Billing>;
};

export function createContext({ headers }: { headers: Headers }): Context {
  return { headers, db: db(), billing };
}

const PING_MS = 5_000;
/** A line is drawn anew after this long: what stands between may have forgotten it. */
const LINE_MS = 60_000;

const t = initTRPC
  .context<Context>()
  .meta<{ least: Role }>()
  .create({
    transformer: superjson,
    // A stack names paths of the server: for its log alone.
    isDev: false,
    sse: {
      maxDurationMs: LINE_MS,
      ping: { enabled: true, intervalMs: PING_MS },
      client: { reconnectAfterInactivityMs: 3 * PING_MS },
    },
    errorFormatter: ({ shape, error }) => ({
      ...shape,
      // What is no answer of ours is not shown: a driver's message can name hosts and users.
      message: error.code === "INTERNAL_SERVER_ERROR" ? "The server failed." : shape.message,
      data: { ...shape.data, store: storeFailure(error) },
    }),
  });

export const router = t.router;
export const createCallerFactory = t.createCallerFactory;

const storesNamed = t.middleware(async ({ next }) => {
  const result = await next();
  if (result.ok) return result;
  throw toTrpcError(result.error);
});

const procedureFor = (least: Role) =>
  t.procedure
    .meta({ least })
    .use(storesNamed)
    .use(async ({ ctx, next }) => {
      const operator = await readOperator(ctx.headers);
      if (operator === undefined) throw new TRPCError({ code: "UNAUTHORIZED", message: "Sign in first." });
      if (!mayAs(operator.role, least))
        throw new TRPCError({ code: "FORBIDDEN", message: `This needs the role ${least}; yours is ${operator.role}.` });
      return next({ ctx: { ...ctx, operator } satisfies Context & { operator: Operator } });
    });

/** Reads: every operator. */
export const viewerProcedure = procedureFor("viewer");
/** Replay, reprocess, discard, restore. */
export const supportProcedure = procedureFor("support");
/** Everything: credits, refunds, freeze, cleanup, accept, repair, settings. */
export const adminProcedure = procedureFor("admin");
