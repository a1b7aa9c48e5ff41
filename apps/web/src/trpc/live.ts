"use client";

// Subscriptions with what a page shows of them: the last event, and whether the line is up.
import type { TRPCConnectionState } from "@trpc/client/unstable-internals";

/** `down`: it was up or tried, and tries again by itself. */
export type Line = "connecting" | "up" | "down";

export function lineOf(status: TRPCConnectionState<unknown>["state"] | "error"): Line {
  if (status === "pending") return "up";
  return status === "error" ? "down" : "connecting";
}
