/** `drawdown replay`: settles again what did not settle. The dry run says what each target is; nothing is ever charged twice. */
import { createInterface } from "node:readline/promises";
import {
  type Billing,
  freezeReplay,
  type Operation,
  planReplay,
  proveAll,
  type ReplayPlan,
  type ReplaySelection,
  type TargetClass,
} from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import {
  type ActOptions,
  actOf,
  type Filters,
  filtersOf,
  idsOf,
  printFailures,
  sayUnfinished,
  untilOver,
} from "./act.ts";
import { print, printJson, printTable } from "./output.ts";

export type ReplayOptions = ActOptions &
  Filters & {
    pending: boolean;
    deadLetters: boolean;
    unaccounted: boolean;
    failedOf?: string;
    idsFrom?: string;
    errorClass?: string;
    account?: string;
    from?: Date;
    to?: Date;
    consumer?: string;
    limit?: number;
    dryRun: boolean;
    yes: boolean;
  };

/** Returns the exit code: 1 when a target failed, or was left by an abort. */
export async function replayCommand(options: ReplayOptions): Promise<number> {
  const act = options.dryRun ? undefined : actOf(options);
  return await withBilling(async (billing) => {
    const selection = selectionOf({ ...options, ...idsOf(options) }, billing.numShards);
    await sayUnfinished(billing);
    await proveAll(billing);
    const plan = await planReplay(billing, selection);
    if (plan.missing.length > 0) throw nothingOf(selection, plan.missing);
    if (act === undefined) return printPlan(plan, options.json);
    if (!(await confirmed(plan, options))) return 1;
    const id = await freezeReplay(billing, plan, act);
    return await report(billing, id === null ? undefined : await untilOver(billing, id), options.json);
  });
}

function selectionOf(options: ReplayOptions, numShards: number): ReplaySelection {
  const { pending, deadLetters, unaccounted, failedOf, errorClass, account, from, to, consumer, limit, id } = options;
  const kinds = [
    ...(pending ? (["pending"] as const) : []),
    ...(deadLetters ? (["dead_letters"] as const) : []),
    ...(unaccounted ? (["unaccounted"] as const) : []),
    ...(failedOf === undefined ? [] : (["failed"] as const)),
  ];
  const [kind = id === undefined ? undefined : ("named" as const)] = kinds;
  if (kind === undefined || kinds.length > 1)
    throw new Problem(
      "Say what to replay: one of --pending, --dead-letters, --unaccounted, --failed-of, or ids alone.",
    );
  for (const [name, value] of Object.entries({ "error-class": errorClass, account, from, to }))
    if (value !== undefined && kind !== "dead_letters") throw new Problem(`--${name} goes with --dead-letters.`);
  if (consumer !== undefined && kind !== "pending") throw new Problem("--consumer goes with --pending.");
  const first = limit === undefined ? {} : { limit };
  const filters = filtersOf(options, numShards);
  if (kind === "named" || kind === "failed") {
    if (Object.keys(filters).some((name) => name !== "ids")) throw new Problem("Exact targets take no filters.");
    if (kind === "named") return { kind, ids: id ?? [], ...first };
    if (id !== undefined) throw new Problem("--failed-of says what is meant: it takes no ids.");
    return { kind, operationId: failedOf ?? "", ...first };
  }
  return {
    kind,
    ...filters,
    ...(errorClass === undefined ? {} : { errorClass }),
    ...(account === undefined ? {} : { accountId: account }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(consumer === undefined ? {} : { consumer }),
    ...first,
  };
}

function nothingOf({ kind }: ReplaySelection, missing: readonly string[]): Problem {
  const what = {
    pending: "not pending, and not in the books",
    dead_letters: "no open dead letter (one that is discarded is restored first)",
    unaccounted: "not unaccounted, and not in the books",
    named: "no dead letter that is open, no entry of a stream, and not in the books",
    failed: "gone, or discarded since",
  }[kind];
  return new Problem(`Nothing was done: ${missing.join(", ")} is ${what}.`);
}

const said: Record<TargetClass, string> = {
  already_applied: "already applied",
  held_by_live_consumer: "held by a live consumer",
  eligible: "eligible",
  unparseable: "unparseable",
  account_gone: "account gone",
};

function printPlan(plan: ReplayPlan, json: boolean): number {
  if (json)
    printJson({
      operation_id: null,
      dry_run: true,
      targets: plan.targets.length,
      ...plan.classes,
      items: plan.targets.map(({ target, class: is, note }) => ({ ...target, class: is, note: note ?? null })),
    });
  else showPlan(plan);
  return 0;
}

function showPlan({ targets, classes }: ReplayPlan): void {
  const counts = Object.entries(classes).filter(([, count]) => count > 0);
  const summary = counts.map(([name, count]) => `${count} ${said[name as TargetClass]}`).join(", ");
  print(targets.length === 0 ? "No targets." : `${targets.length} targets: ${summary}`);
  if (targets.length === 0) return;
  const row = ({ name, target, class: is, note = "" }: (typeof targets)[number]) => [
    name,
    said[is],
    target.deduction_id ?? "-",
    target.cost ?? "-",
    note,
  ];
  printTable([["target", "is", "deduction", "cost", ""], ...targets.slice(0, 50).map(row)]);
  if (targets.length > 50) print(`… and ${targets.length - 50} more`);
}

/** A person at a terminal is shown the dry run and asked; a script has said what it wants. */
async function confirmed(plan: ReplayPlan, { yes, json }: ReplayOptions): Promise<boolean> {
  if (yes || json || plan.targets.length === 0 || !process.stdin.isTTY) return true;
  showPlan(plan);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question("Replay them? [y/N] ")).trim());
  } finally {
    terminal.close();
  }
}

async function report(billing: Billing, operation: Operation | undefined, json: boolean): Promise<number> {
  const { targets, applied, already, failed, left } = operation?.counts ?? {
    targets: 0,
    applied: 0,
    already: 0,
    failed: 0,
    left: 0,
  };
  const id = operation?.id ?? null;
  if (json) printJson({ operation_id: id, targets, applied, already, failed });
  else {
    print(
      `${targets} targets: ${applied} applied, ${already} already applied, ${failed} failed${id === null ? "" : ` (operation ${id})`}`,
    );
    if (left > 0) print(`aborted: ${left} are left as they were`);
    if (id !== null && failed > 0) await printFailures(billing, id);
  }
  return failed > 0 || left > 0 ? 1 : 0;
}
