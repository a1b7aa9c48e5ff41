"use client";

import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createTRPCClient, httpBatchStreamLink, httpSubscriptionLink, splitLink } from "@trpc/client";
import { type ReactNode, useState } from "react";
import superjson from "superjson";
import type { AppRouter } from "@/server/root.ts";
import { TRPCProvider } from "@/trpc/client.ts";
import { leaveWhenSignedOut } from "@/trpc/signed-out.ts";

const ADDRESS = "/api/trpc";
const MAX_URL_LENGTH = 4_000;
/** How soon a page that shows a failure asks again. */
const AGAIN_MS = 3_000;

/** One client of queries and procedures for the page's life. */
export function ProceduresProvider({ children }: { children: ReactNode }) {
  const [queryClient] = useState(createQueryClient);
  const [client] = useState(() =>
    createTRPCClient<AppRouter>({
      links: [
        splitLink({
          condition: ({ type }) => type === "subscription",
          true: httpSubscriptionLink({ url: ADDRESS, transformer: superjson }),
          false: httpBatchStreamLink({ url: ADDRESS, transformer: superjson, maxURLLength: MAX_URL_LENGTH }),
        }),
      ],
    }),
  );
  return (
    <QueryClientProvider client={queryClient}>
      <TRPCProvider trpcClient={client} queryClient={queryClient}>
        {children}
      </TRPCProvider>
    </QueryClientProvider>
  );
}

function createQueryClient(): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({ onError: leaveWhenSignedOut }),
    mutationCache: new MutationCache({ onError: leaveWhenSignedOut }),
    defaultOptions: {
      queries: {
        // A page says at once what is down, keeps what it has, and recovers by itself.
        retry: false,
        refetchInterval: ({ state }) => (state.status === "error" ? AGAIN_MS : false),
        staleTime: 5_000,
      },
      mutations: { retry: false },
    },
  });
}
