"use client";

import { useQuery } from "@tanstack/react-query";
import { useTRPC } from "@/trpc/client.ts";

export function OverviewPage() {
  const trpc = useTRPC();
  const figures = useQuery(trpc.overview.figures.queryOptions());
  return (
    <>
      <h1>Overview</h1>
      <pre>{JSON.stringify(figures.data ?? figures.error, null, 2)}</pre>
    </>
  );
}
