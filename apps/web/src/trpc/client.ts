"use client";

// The pages' way to the procedures: `const trpc = useTRPC()`, then `useQuery(trpc.noun.verb.queryOptions(input))`. `useTRPCClient()` for what no
// query keeps: `client.noun.verb.mutate(input)`.
import { createTRPCContext } from "@trpc/tanstack-react-query";
import type { AppRouter } from "@/server/root.ts";

export const { TRPCProvider, useTRPC, useTRPCClient } = createTRPCContext<AppRouter>();
