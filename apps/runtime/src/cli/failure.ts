/** What a failed command says: what to do for failures of the world, a stack only for bugs of ours. Never a secret. */
import { BillingError, type BillingErrorCode } from "@drawdown/billing";
import { CommanderError } from "commander";
import { scrub } from "../log.ts";
import { Problem } from "../problem.ts";

export type Failure = { code: string; message: string; detail: string | undefined };

/** What can be done about it, where the message does not say. */
const advice: Partial<Record<BillingErrorCode, string>> = {
  redis_unavailable: "Check REDIS_URL.",
  postgres_unavailable: "Check DATABASE_URL.",
};

export function describe(error: unknown): Failure {
  const { code, message, detail } = explain(error);
  return { code, message: scrub(message, []), detail: detail === undefined ? undefined : scrub(detail, []) };
}

function explain(error: unknown): { code: string; message: string; detail?: string | undefined } {
  if (error instanceof Problem) return { code: "problem", message: error.message };
  if (error instanceof CommanderError) return { code: "usage", message: error.message };
  const said = rootMessage(error);
  const state = outerCode(error) ?? "";
  if (/^(28...|3D...)$/.test(state)) {
    return { code: "refused", message: `Postgres refuses the connection: ${said}. Check DATABASE_URL.` };
  }
  if (/^(42P01|3F000|42703)$/.test(state)) {
    return { code: "not_migrated", message: `The database lacks something (${said}). Run \`drawdown migrate\`.` };
  }
  if (error instanceof BillingError) {
    const because = error.cause instanceof Error ? ` (${said})` : "";
    return { code: error.code, message: [error.publicMessage + because, advice[error.code]].filter(Boolean).join(" ") };
  }
  if (/^(ECONN|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH|EAI_AGAIN)/.test(state)) {
    return { code: "unreachable", message: `A server cannot be reached: ${said}. Check DATABASE_URL and REDIS_URL.` };
  }
  return { code: "failed", message: said, detail: error instanceof Error ? error.stack : undefined };
}

/** What the system (`ECONNREFUSED`) or Postgres (`42P01`) calls the failure, wherever in the chain of causes it stands. */
function outerCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string" && /^(E[A-Z_]+|[0-9A-Z]{5})$/.test(code)) return code;
    if (at instanceof AggregateError) return outerCode(at.errors[0]);
  }
  return undefined;
}

/** The innermost message: drizzle wraps what Postgres said, Node wraps what each address said. */
function rootMessage(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return rootMessage(error.errors[0]);
  if (error instanceof Error) return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
  return String(error);
}
