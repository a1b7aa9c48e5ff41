"use client";

// Subscriptions with what a page shows of them: the last event, which stays while the line is down, and whether it is up.
import { useSubscription } from "@trpc/tanstack-react-query";
import { useEffect, useState } from "react";
import { leaveWhenSignedOut } from "@/trpc/signed-out.ts";

/** `down`: it was up or tried, and tries again by itself. */
export type Line = "connecting" | "up" | "down";

type Options<Output, Failure> = Parameters<typeof useSubscription<Output, Failure>>[0];

/** `const { last, line } = useLive(trpc.noun.live.subscriptionOptions(input))` */
export function useLive<Output, Failure>(options: Options<Output, Failure>) {
  const { status, data, error } = useSubscription(options);
  useEffect(() => leaveWhenSignedOut(error), [error]);
  const [last, setLast] = useState<Output>();
  if (data !== undefined && data !== last) setLast(() => data);
  const line: Line = status === "pending" ? "up" : error === null ? "connecting" : "down";
  return { last: data ?? last, line, error };
}
