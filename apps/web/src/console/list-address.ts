"use client";

// What a list shows is in its address: filters, order, the page and its pinned window. An address that is sent to somebody shows him the
// same rows.
import { parseAsInteger, parseAsString, parseAsStringLiteral, useQueryStates } from "nuqs";
import { useMemo } from "react";

export const PAGE_SIZES = [50, 100, 500] as const;
export const ORDERS = ["newest", "oldest"] as const;
export type Order = (typeof ORDERS)[number];

/** What a list's procedure takes beside its filters. */
export type PageInput = { limit: number; order: Order; cursor?: string; pin?: string };

const pageParsers = {
  cursor: parseAsString,
  pin: parseAsString,
  order: parseAsStringLiteral(ORDERS).withDefault("newest"),
  size: parseAsInteger.withDefault(PAGE_SIZES[0]),
};

export type ListAddress<Key extends string> = {
  /** Only those that are set. */
  filters: Partial<Record<Key, string>>;
  page: PageInput;
  /** Changes filters and goes to the first page of a new window; empty text or null removes one. */
  setFilters: (changes: Partial<Record<Key, string | null>>) => void;
  setOrder: (order: Order) => void;
  setSize: (size: number) => void;
  /** Another page of the same window. */
  goTo: (cursor: string | null, pin: string) => void;
  /** The first page of a new window: what arrived since is in it. */
  renew: () => void;
};

/** `keys` are the names of the filters in the address; give a constant. */
export function useListAddress<const Key extends string>(keys: readonly Key[]): ListAddress<Key> {
  const parsers = useMemo(() => Object.fromEntries(keys.map((key) => [key, parseAsString])), [keys]);
  const [given, setGiven] = useQueryStates(parsers, { history: "push" });
  const [place, setPlace] = useQueryStates(pageParsers, { history: "push" });
  return useMemo(() => {
    const filters = Object.fromEntries(
      keys.flatMap((key) => {
        const value = given[key];
        return typeof value === "string" && value !== "" ? [[key, value]] : [];
      }),
    ) as Partial<Record<Key, string>>;
    const { cursor, pin, order, size } = place;
    const limit = PAGE_SIZES.find((known) => known === size) ?? PAGE_SIZES[0];
    const start = { cursor: null, pin: null };
    const change = (promise: Promise<unknown>) => void promise.catch(() => {}); // the address bar is no store: nothing is lost
    return {
      filters,
      page: { limit, order, ...(cursor === null ? {} : { cursor }), ...(pin === null ? {} : { pin }) },
      setFilters: (changes) => {
        const cleared = Object.entries<string | null | undefined>(changes).map(([key, value]) => [key, value || null]);
        change(setGiven(Object.fromEntries(cleared)));
        change(setPlace(start));
      },
      setOrder: (wanted) => change(setPlace({ ...start, order: wanted })),
      setSize: (wanted) => change(setPlace({ ...start, size: wanted })),
      goTo: (wanted, window) => change(setPlace({ cursor: wanted, pin: window })),
      renew: () => change(setPlace(start)),
    };
  }, [keys, given, place, setGiven, setPlace]);
}
