// What the procedures of lists share: the page that is asked for, and a window's counts.
import { z } from "zod";

/** As `PageRequest` of packages/db. */
export const pageInput = z.object({
  limit: z.number().int().min(1).max(500),
  order: z.enum(["newest", "oldest"]),
  cursor: z.string().max(1_000).optional(),
  pin: z.string().max(200).optional(),
});

export const pinInput = z.string().max(200);

/** The text of a filter; an empty one is none. */
export const filterText = z.string().trim().min(1).max(512).optional();
export const filterMoment = z.coerce.date().optional();

/** Leaves out what is not set, as optional properties want it. */
export function given<T extends object>(filters: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
