// What the servers promise to keep. Said at start, because what is not on disk when a server dies is lost.
import type { Billing } from "./billing.ts";
import { redisServers } from "./redis.ts";

/** `always`: everything answered is on disk. `everysec`: up to a second may be lost. `unknown`: a server does not tell. */
export type Append = "always" | "everysec" | "never" | "unknown";

export type Durability = { append: Append; warnings: string[] };

/** Asks every server. One that hides its settings is taken for the worst, and said to. */
export async function readDurability(billing: Billing): Promise<Durability> {
  const found: Append[] = [];
  const warnings = new Set<string>();
  for (const server of redisServers(billing.redis)) {
    try {
      const settings = new Map<string, string>();
      for (const pattern of ["append*", "maxmemory*"]) {
        const flat = await server.config("GET", pattern);
        if (Array.isArray(flat))
          for (let i = 0; i + 1 < flat.length; i += 2) settings.set(String(flat[i]), String(flat[i + 1]));
      }
      found.push(appendOf(settings));
      for (const warning of warningsOf(settings)) warnings.add(warning);
    } catch {
      found.push("unknown");
      warnings.add(
        "Redis does not tell its settings: whether it appends before it answers, and never evicts, is not known.",
      );
    }
  }
  const order: Append[] = ["never", "unknown", "everysec", "always"];
  return { append: order.find((append) => found.includes(append)) ?? "unknown", warnings: [...warnings] };
}

function appendOf(settings: ReadonlyMap<string, string>): Append {
  if (settings.get("appendonly") !== "yes") return "never";
  const policy = settings.get("appendfsync");
  return policy === "always" || policy === "everysec" ? policy : "never";
}

function warningsOf(settings: ReadonlyMap<string, string>): string[] {
  const warnings: string[] = [];
  const append = appendOf(settings);
  if (append === "never")
    warnings.push(
      "Redis keeps nothing it must (appendonly is off, or appendfsync no): a crash loses deductions that were answered.",
    );
  if (append === "everysec")
    warnings.push(
      "Redis appends once a second (appendfsync everysec): a crash may lose the last second of deductions.",
    );
  const policy = settings.get("maxmemory-policy");
  if (policy !== "noeviction")
    warnings.push(`Redis may evict balances (maxmemory-policy ${policy}): it must be noeviction.`);
  if (settings.get("maxmemory") === "0")
    warnings.push("Redis has no memory limit (maxmemory 0): new charges are not refused before memory runs out.");
  return warnings;
}
