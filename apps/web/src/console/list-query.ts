// How a list is asked for: once for its window. It is not read again behind the reader's back; what arrives is counted instead.
import { keepPreviousData } from "@tanstack/react-query";

/** For the query of a list's page. */
export const pageQuery = {
  staleTime: Number.POSITIVE_INFINITY,
  refetchOnMount: "always",
  refetchOnWindowFocus: false,
  refetchOnReconnect: false,
  placeholderData: keepPreviousData,
} as const;

/** For the count of what arrived since. */
export const newerQuery = { refetchInterval: 5_000 } as const;
