// Which lists can be taken away.
import { alertsExport } from "@/server/alerts-router.ts";
import { deductionsExport } from "@/server/deductions-router.ts";
import type { Export } from "@/server/exports.ts";

const lists: Record<string, Export> = {
  alerts: alertsExport,
  deductions: deductionsExport,
};

/** Undefined for a list that there is none of. */
export function exportOf(name: string): Export | undefined {
  return Object.hasOwn(lists, name) ? lists[name] : undefined;
}
