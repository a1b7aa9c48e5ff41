// Which lists can be taken away.
import type { Export } from "@/server/exports.ts";

const lists: Record<string, Export> = {};

/** Undefined for a list that there is none of. */
export function exportOf(name: string): Export | undefined {
  return Object.hasOwn(lists, name) ? lists[name] : undefined;
}
