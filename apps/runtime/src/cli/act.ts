/** What every act on the command line shares: who and why, and waiting for its end. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Act,
  type Billing,
  BillingError,
  listItems,
  listOperations,
  type Operation,
  readOperation,
  runOperation,
} from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { print } from "./output.ts";

/** What every act is recorded with. */
export type ActOptions = { json: boolean; actor: string; reason?: string };

export type Filters = { id?: string[]; shard?: number[]; olderThan?: number };

/** A running worker takes an act within some milliseconds. When none has by then, none runs, or all are busy. */
const workerTakesItMs = 500;
const lookEveryMs = 50;

/** On the command line one who can reach both stores is an admin. Throws a `Problem` without a reason. */
export function actOf({ actor, reason }: ActOptions): Act {
  if (reason === undefined || reason.trim() === "")
    throw new Problem("A reason is needed, it is kept with the act: --reason <text>.");
  return { actor, role: "admin", reason };
}

/**
 * The ids that were named one by one or stand in a file (`-`: standard input), one on each line. Throws a `Problem` for a file that
 * cannot be read.
 */
export function idsOf({ id, idsFrom }: { id?: string[]; idsFrom?: string }): { id?: string[] } {
  if (idsFrom === undefined) return id === undefined ? {} : { id };
  const read = () => {
    try {
      return readFileSync(idsFrom === "-" ? 0 : idsFrom, "utf8");
    } catch (error) {
      throw new Problem(`The ids cannot be read from ${idsFrom}.`, { cause: error });
    }
  };
  const lines = read()
    .split("\n")
    .map((line) => line.trim());
  return { id: [...(id ?? []), ...lines.filter((line) => line !== "")] };
}

/** The filters that entries and letters share. Throws a `Problem` for a shard that is none. */
export function filtersOf({ id, shard, olderThan }: Filters, numShards: number) {
  if (shard?.some((one) => one >= numShards))
    throw new Problem(`There are ${numShards} shards: 0 to ${numShards - 1}.`);
  return {
    ...(id === undefined ? {} : { ids: id }),
    ...(shard === undefined ? {} : { shards: [...new Set(shard)] }),
    ...(olderThan === undefined ? {} : { olderThanMs: Math.round(olderThan * 1_000) }),
  };
}

/**
 * Waits until an act is over. A worker that runs executes it; when none does, this process does, under the same lock, so
 * that nothing is executed twice. Throws a `Problem` that names the act when a store fails: the act goes on later.
 */
export async function untilOver(billing: Billing, id: string): Promise<Operation> {
  const takeAtMs = performance.now() + workerTakesItMs;
  try {
    for (;;) {
      const operation = await readOperation(billing.query, id);
      if (!operation) throw new Problem(`The act ${id} is gone.`);
      if (operation.finishedAt !== null) return operation;
      sayProgress(operation);
      const nobody = operation.state === "waiting" || operation.state === "aborting";
      if (nobody && performance.now() >= takeAtMs) await runOperation(billing, id, new AbortController().signal);
      else await sleep(lookEveryMs);
    }
  } catch (error) {
    if (!(error instanceof BillingError)) throw error;
    const message = `${error.publicMessage} The act ${id} is not finished: a running worker goes on with it when it can.`;
    throw new Problem(message, { cause: error });
  }
}

function sayProgress({ counts, state }: Operation): void {
  if (!process.stderr.isTTY || !counts) return;
  process.stderr.write(`\r${counts.targets - counts.left} of ${counts.targets} ${state}\u001b[K\r`);
}

/** Names, on standard error, the acts of before that are not over. */
export async function sayUnfinished(billing: Billing): Promise<void> {
  for (const operation of await listOperations(billing.query, { unfinished: true })) {
    const { action, id, actor, startedAt, state, counts } = operation;
    const about = `${action} ${id} of ${actor}, begun ${startedAt.toISOString()}`;
    const bulk =
      counts && `${state}, ${counts.targets - counts.left} of ${counts.targets} done; a running worker goes on with it`;
    process.stderr.write(`Not finished: ${about}${bulk ? ` (${bulk})` : ""}.\n`);
  }
}

/** What an outcome's name is called in words. */
export const beforeWords = {
  repeated: "This very act was done before.",
  unchanged: "It was so already: nothing was done.",
} as const;

/** Says why targets failed, one line each. */
export async function printFailures(billing: Billing, id: string): Promise<void> {
  const failed = await listItems(billing.query, id, { outcome: "failed" }, { limit: 20 });
  for (const { target, detail } of failed)
    print(`  failed: ${String(target["dead_letter_id"] ?? target["entry_id"])}  ${String(detail?.["message"])}`);
}
