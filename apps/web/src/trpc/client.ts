"use client";

// The pages' way to the procedures: `const trpc = useTRPC()`, then `useQuery(trpc.noun.verb.queryOptions(input))`.
import { createTRPCContext } from "@trpc/tanstack-react-query";
import type { AppRouter } from "@/server/root.ts";

export const { TRPCProvider, useTRPC } = createTRPCContext<AppRouter>();
