"use client";

// What the frame of every page shows of the state of things. Asked for, not subscribed to: a browser has six connections to a server, and
// many pages may be open.
import { useQuery } from "@tanstack/react-query";
import { faultOf } from "@/console/fault.ts";
import type { PageName } from "@/console/navigation.ts";
import { useTRPC } from "@/trpc/client.ts";
import type { LineState } from "@/ui/line.tsx";

const ASK_MS = 5_000;

export type PageCounts = Partial<Record<PageName, number>>;

/** `fault`: what a server that answers cannot reach. Counts are absent until known. */
export function useShellFigures(): {
  counts: PageCounts;
  line: LineState;
  fault: ReturnType<typeof faultOf>["kind"] | undefined;
} {
  const trpc = useTRPC();
  const { data, error } = useQuery({ ...trpc.overview.figures.queryOptions(), refetchInterval: ASK_MS });
  const fault = error === null ? undefined : faultOf(error).kind;
  const line = fault === "offline" ? "down" : data === undefined && error === null ? "connecting" : "up";
  if (data === undefined) return { counts: {}, line, fault };
  const { openAlerts, openDeadLetters, pending } = data.stats.totals;
  return { counts: { alerts: openAlerts, deadLetters: openDeadLetters, pending }, line, fault };
}
