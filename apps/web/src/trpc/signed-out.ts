import { isTRPCClientError } from "@trpc/client";
import type { AppRouter } from "@/server/root.ts";

/** A session ends while its page is open: back to the sign-in, and from there to this page again. */
export function leaveWhenSignedOut(error: unknown): void {
  if (!isTRPCClientError<AppRouter>(error) || error.data?.code !== "UNAUTHORIZED") return;
  const { pathname, search } = window.location;
  if (pathname === "/sign-in") return;
  window.location.assign(`/sign-in?ended=1&next=${encodeURIComponent(pathname + search)}`);
}
