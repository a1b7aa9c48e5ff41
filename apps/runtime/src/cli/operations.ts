/** `drawdown operations`: acts of operators, and holding up or ending those that are going on. */
import {
  controlOperation,
  isUuid,
  listItems,
  listOperations,
  type Operation,
  readOperation,
  type Wish,
} from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { type ActOptions, actOf, printFailures } from "./act.ts";
import { print, printJson, printPairs, printTable } from "./output.ts";

export type OperationsOptions = {
  json: boolean;
  by?: string;
  action?: string;
  unfinished: boolean;
  limit: number;
  after?: string;
};

export async function listOperationsCommand(options: OperationsOptions): Promise<void> {
  const { json, by, action, unfinished, limit, after } = options;
  if (after !== undefined) checkId(after);
  await withBilling(async (billing) => {
    const filters = {
      unfinished,
      ...(by === undefined ? {} : { actor: by }),
      ...(action === undefined ? {} : { action }),
    };
    const found = await listOperations(billing.query, filters, { limit, ...(after === undefined ? {} : { after }) });
    const next = found.length === limit ? (found.at(-1)?.id ?? null) : null;
    if (json) return printJson({ next, operations: found.map(document) });
    if (found.length === 0) return print("No acts.");
    const row = (one: Operation) => [one.id, one.startedAt.toISOString(), one.actor, one.action, one.state, one.reason];
    printTable([["id", "started", "actor", "action", "state", "reason"], ...found.map(row)]);
    if (next !== null) print(`… the next page: --after ${next}`);
  });
}

export async function showOperationCommand(id: string, options: { json: boolean; limit: number; afterItem?: number }) {
  checkId(id);
  await withBilling(async (billing) => {
    const operation = await readOperation(billing.query, id);
    if (!operation) throw noneOf(id);
    const { limit, afterItem: after = 0 } = options;
    const items = await listItems(billing.query, id, {}, { limit, after });
    if (options.json)
      return printJson({
        ...document(operation),
        items: items.map(({ n, target, outcome, detail, finishedAt }) => ({
          n,
          target,
          outcome,
          detail,
          finished_at: finishedAt,
        })),
      });
    show(operation);
    await printFailures(billing, id);
  });
}

export async function controlCommand(wish: Wish, id: string, options: ActOptions): Promise<void> {
  checkId(id);
  const act = actOf(options);
  await withBilling(async (billing) => {
    const operation = await controlOperation(billing, id, wish, act);
    if (!operation) throw noneOf(id);
    if (operation.counts === null)
      throw new Problem(`The ${operation.action} ${id} is no bulk act: it is over at once.`);
    if (options.json) return printJson(document(operation));
    show(operation);
  });
}

function checkId(id: string): void {
  if (!isUuid(id)) throw noneOf(id);
}

function noneOf(id: string): Problem {
  return new Problem(`There is no act ${id}.`);
}

function show(operation: Operation): void {
  const { counts } = operation;
  printPairs([
    ["operation", operation.id],
    ["action", operation.action],
    ["actor", `${operation.actor} (${operation.role})`],
    ["reason", operation.reason],
    ["state", operation.state],
    ["started", operation.startedAt.toISOString()],
    ["finished", operation.finishedAt?.toISOString() ?? "-"],
    [
      "targets",
      counts === null
        ? "-"
        : `${counts.targets}: ${counts.applied} applied, ${counts.already} already, ${counts.failed} failed, ${counts.left} left`,
    ],
  ]);
}

function document(operation: Operation) {
  const { id, actor, role, action, reason, state, counts, before, after, result, startedAt, finishedAt } = operation;
  return {
    operation_id: id,
    actor,
    role,
    action,
    reason,
    state,
    counts,
    before,
    after,
    result,
    started_at: startedAt,
    finished_at: finishedAt,
  };
}
