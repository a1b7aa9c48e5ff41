/** What a failed command says: what to do for failures of the world, a stack only for bugs of ours. Never a secret. */
import { BillingError } from "@drawdown/billing";
import { CommanderError } from "commander";
import { scrub } from "./log.ts";
import { Problem } from "./problem.ts";

export type Failure = { code: string; message: string; detail: string | undefined };

export function describe(error: unknown): Failure {
  const told = (code: string, message: string, detail?: string): Failure => ({
    code,
    message: scrub(message, []),
    detail: detail === undefined ? undefined : scrub(detail, []),
  });
  if (error instanceof Problem) return told("problem", error.message);
  if (error instanceof CommanderError) return told("usage", error.message);
  if (error instanceof BillingError) {
    const cause = error.cause instanceof Error ? rootMessage(error.cause) : undefined;
    return told(error.code, cause === undefined ? error.publicMessage : `${error.publicMessage} (${cause})`);
  }
  const state = errorCode(error);
  if (state !== undefined && /^(ECONN|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH|EAI_AGAIN)/.test(state)) {
    return told("unreachable", `A server cannot be reached: ${rootMessage(error)}. Check DATABASE_URL and REDIS_URL.`);
  }
  if (state !== undefined && /^(28|3D)/.test(state)) {
    return told("refused", `Postgres refuses the connection: ${rootMessage(error)}. Check DATABASE_URL.`);
  }
  if (state === "42P01" || state === "3F000" || state === "42703") {
    return told("not_migrated", `The database lacks something (${rootMessage(error)}). Run \`drawdown migrate\`.`);
  }
  return told("failed", rootMessage(error), error instanceof Error ? error.stack : undefined);
}

function errorCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code =
      (at as NodeJS.ErrnoException).code ?? (at instanceof AggregateError ? errorCode(at.errors[0]) : undefined);
    if (typeof code === "string") return code;
  }
  return undefined;
}

/** The innermost message: drizzle wraps what Postgres said, Node wraps what each address said. */
function rootMessage(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return rootMessage(error.errors[0]);
  if (error instanceof Error) return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
  return String(error);
}
