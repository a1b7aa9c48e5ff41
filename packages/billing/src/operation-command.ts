// The command that does again what an act on record did, from the record alone.
import type { CommandAct } from "./command-line.ts";
import { shardOfStream } from "./keys.ts";
import type { OperationRecord } from "./operation-list.ts";

/** Null for acts that their record does not tell whole. */
export function commandOfRecord(record: OperationRecord): CommandAct | null {
  const { operation, targets, firstTarget } = record;
  const { action, after } = operation;
  const { names, total } = targets;
  const [only = ""] = names;
  const whole = names.length === total;
  const result = textsOf(operation.result);
  switch (action) {
    case "replay":
      return whole ? { act: action, selection: { kind: "named", ids: names } } : null;
    case "discard":
    case "restore":
      return whole ? { act: action, ids: names } : null;
    case "credit":
      return creditOf(only, result);
    case "refund":
      return result.amount === undefined ? null : { act: action, deductionId: only, amount: result.amount };
    case "credit_limit": {
      const limit = textsOf(after).credit_limit;
      return limit === undefined ? null : { act: action, accountId: only, limit };
    }
    case "freeze":
    case "unfreeze":
      return { act: action, accountId: only };
    case "pause":
    case "resume":
    case "abort":
      return { act: action, operationId: only };
    case "cleanup":
      return cleanupOf(names, firstTarget);
    default:
      return null;
  }
}

type Texts = { [name in "amount" | "category" | "reference" | "credit_limit"]?: string };

/** What of an act's values is text. */
function textsOf(value: unknown): Texts {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, one]) => typeof one === "string"));
}

/** With its reference, which was used: run again, it answers the first credit and gives no second. */
function creditOf(accountId: string, { amount, category, reference }: Texts): CommandAct | null {
  if (amount === undefined || category === undefined) return null;
  return { act: "credit", accountId, amount, category, ...(reference === undefined ? {} : { reference }) };
}

function cleanupOf(names: readonly string[], first: OperationRecord["firstTarget"]): CommandAct | null {
  const { cut_off_ms: cutOffMs, max_per_shard: maxPerShard } = first ?? {};
  if (typeof cutOffMs !== "number" || typeof maxPerShard !== "number") return null;
  const shards = names.flatMap((name) => shardOfStream(name) ?? []);
  return { act: "cleanup", shards, maxPerShard, cutOff: new Date(cutOffMs) };
}
