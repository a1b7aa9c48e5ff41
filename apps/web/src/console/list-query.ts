"use client";

// How every list asks: for its page once, then for the count of what its filters find and of what arrived since. A page is not read again
// behind the reader's back.
import { keepPreviousData, type SkipToken, skipToken, type UseQueryOptions, useQuery } from "@tanstack/react-query";
import type { TRPCClientErrorLike } from "@trpc/client";
import type { TRPCQueryKey } from "@trpc/tanstack-react-query";
import type { Count, Page } from "@/console/list.tsx";
import type { PageInput } from "@/console/list-address.ts";
import type { AppRouter } from "@/server/root.ts";

/** As `useTRPC()` gives it. */
type Procedure<Input, Output> = {
  queryOptions: (
    input: Input | SkipToken,
  ) => UseQueryOptions<Output, TRPCClientErrorLike<AppRouter>, Output, TRPCQueryKey>;
};

type Procedures<Asked, Row> = {
  list: Procedure<Asked & { page: PageInput }, Page<Row>>;
  count: Procedure<Asked & { pin: string }, Count>;
  /** Null: nothing arrives that a count would tell. */
  newer: Procedure<Asked & { pin: string }, Count> | null;
};

/** For the count of what arrived since. */
export const newerQuery = { refetchInterval: 5_000 } as const;

/**
 * The three queries of a list, as `List` takes them. `asked` is the list's filters and what else its procedures take beside the page;
 * `watchMs` reads it again and again, while its rows are at work.
 */
export function useList<Asked extends { filters: object }, Row>(
  procedures: Procedures<Asked, Row>,
  asked: Asked,
  page: PageInput,
  watchMs: number | false = false,
) {
  const query = useQuery({
    ...procedures.list.queryOptions({ ...asked, page }),
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnMount: "always",
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
    placeholderData: keepPreviousData,
    // As every query: one that failed asks again by itself.
    ...(watchMs === false ? {} : { refetchInterval: watchMs }),
  });
  const window = query.data === undefined ? skipToken : { ...asked, pin: query.data.pin };
  const total = useQuery({
    ...procedures.count.queryOptions(window),
    ...(watchMs === false ? {} : { refetchInterval: watchMs }),
  });
  const { count, newer } = procedures;
  const since = useQuery({ ...(newer ?? count).queryOptions(newer === null ? skipToken : window), ...newerQuery });
  return { query, total: total.data, newer: since.data };
}
