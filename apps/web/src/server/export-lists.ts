// Which lists can be taken away.

import { trailExport } from "@/server/account-router.ts";
import { accountsExport } from "@/server/accounts-router.ts";
import { alertsExport } from "@/server/alerts-router.ts";
import { deadLettersExport } from "@/server/dead-letters-router.ts";
import { deductionsExport } from "@/server/deductions-router.ts";
import type { Export } from "@/server/exports.ts";
import { keysExport } from "@/server/keys-router.ts";
import { operationsExport } from "@/server/operations-router.ts";
import { pendingExport } from "@/server/pending-router.ts";
import { pricesExport } from "@/server/prices-router.ts";

const lists: Record<string, Export> = {
  alerts: alertsExport,
  "dead-letters": deadLettersExport,
  accounts: accountsExport,
  "account-trail": trailExport,
  deductions: deductionsExport,
  keys: keysExport,
  operations: operationsExport,
  pending: pendingExport,
  prices: pricesExport,
};

/** Undefined for a list that there is none of. */
export function exportOf(name: string): Export | undefined {
  return Object.hasOwn(lists, name) ? lists[name] : undefined;
}
