// What a page says of a question that failed: which store is away, or that the server failed, and whether waiting helps.
import { isTRPCClientError } from "@trpc/client";
import type { AppRouter } from "@/server/root.ts";

/** Names a text of the namespace "faults". */
export type FaultKind = "redis" | "postgres" | "fenced" | "memory" | "forbidden" | "refused" | "offline" | "server";

export type Fault = { kind: FaultKind; message: string; retrying: boolean };

export function faultOf(error: unknown): Fault {
  const message = error instanceof Error ? error.message : String(error);
  if (!isTRPCClientError<AppRouter>(error) || !error.data) return { kind: "offline", message, retrying: true };
  const { store, code } = error.data;
  if (store) {
    const { code: cause, retryable } = store;
    const kinds: Partial<Record<typeof cause, FaultKind>> = {
      redis_unavailable: "redis",
      postgres_unavailable: "postgres",
      fenced: "fenced",
      redis_memory: "memory",
    };
    return { kind: kinds[cause] ?? "refused", message, retrying: retryable };
  }
  if (code === "FORBIDDEN") return { kind: "forbidden", message, retrying: false };
  return code === "INTERNAL_SERVER_ERROR"
    ? { kind: "server", message, retrying: true }
    : { kind: "refused", message, retrying: false };
}
