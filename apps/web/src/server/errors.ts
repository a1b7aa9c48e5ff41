// How a failure of a store reaches the browser: as a tRPC error whose `data.billing` says which store, and whether waiting helps.
import type { BillingError, BillingErrorCode } from "@drawdown/billing";
import { TRPCError } from "@trpc/server";
import { books, domain } from "@/server/domain.ts";

type Code = TRPCError["code"];

/** Does not compile until it knows every code. */
const codes: Record<BillingErrorCode, Code> = {
  redis_unavailable: "SERVICE_UNAVAILABLE",
  postgres_unavailable: "SERVICE_UNAVAILABLE",
  fenced: "SERVICE_UNAVAILABLE",
  redis_memory: "SERVICE_UNAVAILABLE",
  invalid_amount: "BAD_REQUEST",
  invalid_request: "BAD_REQUEST",
  model_not_priced: "UNPROCESSABLE_CONTENT",
  config: "INTERNAL_SERVER_ERROR",
};

/** What the page is told beside the code; null where no store failed. */
export type StoreFailure = { code: BillingErrorCode; retryable: boolean } | null;

/** The same failure in tRPC's words. What is none of a store's is left as it is. */
export function toTrpcError(error: TRPCError): TRPCError {
  // An address may say anything: a page's place that no list gave is the asker's fault.
  if (error.cause instanceof books.InvalidPage)
    return new TRPCError({ code: "BAD_REQUEST", message: error.cause.message, cause: error.cause });
  const failure = failureOf(error.cause);
  if (failure === undefined) return error;
  return new TRPCError({ code: codes[failure.code], message: failure.publicMessage, cause: failure });
}

/** For who shows what the other store still tells; null for what is no store's failure. */
export function storeFailureOf(error: unknown): StoreFailure {
  const failure = failureOf(error);
  return failure === undefined ? null : { code: failure.code, retryable: failure.retryable };
}

export function storeFailure(error: TRPCError): StoreFailure {
  return storeFailureOf(error.cause);
}

function failureOf(cause: unknown): BillingError | undefined {
  if (cause instanceof domain.BillingError) return isMisunderstood(cause.cause) ? undefined : cause;
  if (!isConnectionFailure(cause)) return undefined;
  return new domain.BillingError("postgres_unavailable", "The books cannot be reached.", { cause });
}

/** Postgres is there, and knows no such table or column: a fault of the console's own server (a migration that was not run). */
function isMisunderstood(cause: unknown): boolean {
  return (
    cause instanceof Error && "code" in cause && typeof cause.code === "string" && /^42[0-9A-Z]{3}$/.test(cause.code)
  );
}

/** Queries of packages/db throw what the driver throws: a broken or refused connection, a server that is stopping, starting, or full. */
function isConnectionFailure(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  if (/^(08|53|57)[0-9A-Z]{3}$/.test(code) || /^E[A-Z]+$/.test(code)) return true;
  if (cause instanceof AggregateError) return cause.errors.some(isConnectionFailure);
  return /Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered/.test(
    cause.message,
  );
}
