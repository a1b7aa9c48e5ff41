"use client";

import type { AccountStanding } from "@drawdown/billing";
import type { AccountHeader } from "@drawdown/db";
import { useQueryClient } from "@tanstack/react-query";
import { useTRPC } from "@/trpc/client.ts";

/** What an act is on, as the page has it. */
export type ActOn = { account: AccountHeader; standing: AccountStanding | undefined };

/** After an act: what the page shows of the account is asked again. The trail keeps its window; what is new waits above it. */
export function useAccountChanged(accountId: string): () => void {
  const trpc = useTRPC();
  const client = useQueryClient();
  return () => {
    void client.invalidateQueries(trpc.account.header.queryFilter({ id: accountId }));
    void client.invalidateQueries(trpc.account.operations.queryFilter({ accountId }));
    void client.invalidateQueries(trpc.account.trailNewer.queryFilter());
  };
}
