/** `drawdown cleanup`: removes what is proven settled, acked and old enough; says what stays, and why. */
import { type CleanedShard, type CleanedShards, previewCleanup, startCleanup } from "@drawdown/billing";
import { readConfig } from "../config.ts";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { type ActOptions, actOf, filtersOf, sayUnfinished, untilOver } from "./act.ts";
import { print, printJson, printTable } from "./output.ts";

export type CleanupOptions = ActOptions & {
  maxAgeHours?: number;
  maxPerShard?: number;
  shard?: number[];
  before?: Date;
  dryRun: boolean;
};

export async function cleanupCommand(options: CleanupOptions): Promise<void> {
  const { maxAgeHours, maxPerShard, shard, before } = options;
  if (before !== undefined && maxAgeHours !== undefined)
    throw new Problem("--before and --max-age-hours say the same thing: give one.");
  const act = options.dryRun ? undefined : actOf(options);
  const { cleanup } = readConfig(["database", "redis"]);
  await withBilling(async (billing) => {
    const settings = {
      maxAgeMs: maxAgeHours === undefined ? cleanup.maxAgeMs : maxAgeHours * 3_600_000,
      maxPerShard: maxPerShard ?? cleanup.batchSize,
      ...(before === undefined ? {} : { cutOffMs: before.getTime() }),
      ...filtersOf(shard === undefined ? {} : { shard }, billing.numShards),
    };
    await sayUnfinished(billing);
    if (act === undefined) {
      const { cutOffMs, ...preview } = await previewCleanup(billing, settings);
      return printCleaned(preview, null, options.json, new Date(cutOffMs));
    }
    const id = await startCleanup(billing, settings, act);
    const operation = await untilOver(billing, id);
    printCleaned(operation.result as CleanedShards, id, options.json);
    if (operation.state === "aborted")
      throw new Problem(`The cleanup ${id} was aborted; what it removed stays removed.`);
  });
}

function printCleaned(cleaned: CleanedShards, id: string | null, json: boolean, cutOff?: Date): void {
  const { trimmed, kept, pending, unaccounted, danglingCleared, consumersRemoved, shards } = cleaned;
  if (json)
    return printJson({
      operation_id: id,
      dry_run: id === null,
      ...(cutOff === undefined ? {} : { cut_off: cutOff }),
      trimmed,
      kept,
      pending,
      unaccounted,
      dangling_cleared: danglingCleared,
      consumers_removed: consumersRemoved,
      shards: shards.map(document),
    });
  print(
    `${trimmed} ${id === null ? "would be removed" : "removed"}, ${kept} stay, of them ${pending} pending and ${unaccounted} unaccounted`,
  );
  const would = id === null ? "would be " : "";
  if (danglingCleared > 0) print(`${danglingCleared} references to entries that are gone ${would}cleared`);
  if (consumersRemoved.length > 0) print(`${consumersRemoved.join(", ")} ${would}removed: dead, and holding nothing`);
  const busy = shards.filter((one) => one.trimmed > 0 || one.length > 0);
  if (busy.length === 0) return;
  const row = (one: CleanedShard) => [String(one.shard), String(one.trimmed), String(one.length), reasons(one)];
  printTable([["shard", "removed", "stay", "why they stay"], ...busy.map(row)]);
}

function document(shard: CleanedShard) {
  const { length, pending, unaccounted, trimmed, kept } = shard;
  return {
    shard: shard.shard,
    trimmed,
    kept: length,
    pending,
    unaccounted,
    /** Of those that are old enough, why they stay. */
    reasons: kept,
    dangling_cleared: shard.danglingCleared,
    /** Of them, those that were in no books: each is a dead letter now. */
    dangling_kept: shard.danglingKept,
    consumers_removed: shard.consumersRemoved,
    oldest_trimmed_id: shard.oldestTrimmedId,
    newest_trimmed_id: shard.newestTrimmedId,
  };
}

function reasons({ kept }: CleanedShard): string {
  return Object.entries(kept)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`)
    .join(", ");
}
