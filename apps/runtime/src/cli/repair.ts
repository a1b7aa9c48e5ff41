/** `drawdown repair`: sets one account in Redis to what the books say. The dry run says what it would do; the act is on record first. */
import { createInterface } from "node:readline/promises";
import { planRepair, type RepairOutcome, type RepairPlan, repair } from "@drawdown/billing";
import { withBilling } from "../stores.ts";
import { accountOf } from "./accept.ts";
import { type ActOptions, actOf } from "./act.ts";
import { print, printJson, printPairs } from "./output.ts";
import { figuresDocument } from "./reconcile.ts";

export type RepairOptions = ActOptions & { account: string; writeOff?: string[]; dryRun: boolean; yes: boolean };

/** Returns the exit code: 1 when the account needs a repair and got none. */
export async function repairCommand(options: RepairOptions): Promise<number> {
  const act = options.dryRun ? undefined : actOf(options);
  return await withBilling(async (billing, db) => {
    const account = await accountOf(db, options.account);
    const writeOff = options.writeOff ?? [];
    if (act === undefined || !mayGoOn(options)) {
      const plan = await planRepair(billing, account, { writeOff });
      if (act === undefined) return printPlan(plan, options.json);
      show(plan);
      if (plan.outcome === "repairable" && !(await confirmed())) return 1;
    }
    return printOutcome(await repair(billing, account, act, { writeOff }), options.json);
  });
}

/** A person at a terminal is shown the dry run and asked; a script has said what it wants. */
function mayGoOn({ yes, json }: RepairOptions): boolean {
  return yes || json || !process.stdin.isTTY;
}

async function confirmed(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question("Repair it? [y/N] ")).trim());
  } finally {
    terminal.close();
  }
}

function printPlan(plan: RepairPlan, json: boolean): number {
  if (json) printJson({ operation_id: null, dry_run: true, ...document(plan) });
  else show(plan);
  return plan.outcome === "refused" ? 1 : 0;
}

function document({ accountId, outcome, message, class: driftClass, figures, link, writeOff }: RepairPlan) {
  return {
    account_id: accountId,
    plan: outcome,
    message,
    class: driftClass,
    figures: figures && figuresDocument(figures),
    link: link && {
      seq: link.seq,
      balance_before: link.balanceBefore,
      balance_after: link.balanceAfter,
      amount: link.amount,
      debits: link.debits,
      gain: link.gain,
    },
    write_off: writeOff.map(({ deadLetterId, deductionId, seq, cost }) => ({
      dead_letter_id: deadLetterId,
      deduction_id: deductionId,
      account_seq: seq,
      cost,
    })),
  };
}

function show({ outcome, message, class: driftClass, link, writeOff }: RepairPlan): void {
  print(`${outcome.replaceAll("_", " ")}: ${message}`);
  if (link === null) return;
  printPairs([
    ["class", driftClass ?? "-"],
    ["link", `${link.seq}: ${link.balanceBefore} -> ${link.balanceAfter} (${link.amount})`],
    ["debits", link.debits],
    ["the customer has more", link.gain],
    ["written off", writeOff.map(({ deductionId, cost }) => `${deductionId} (${cost})`).join(", ") || "nothing"],
  ]);
}

function printOutcome({ outcome, operationId, link, plan, resumed }: RepairOutcome, json: boolean): number {
  const failed = outcome === "moved" || (outcome === "unchanged" && plan.outcome === "refused");
  if (json) {
    printJson({
      operation_id: operationId,
      dry_run: false,
      outcome,
      repaired: link && {
        seq: link.seq,
        entry_id: link.entryId,
        balance_before: link.balanceBefore,
        balance_after: link.balanceAfter,
      },
      resumed,
      ...document(plan),
    });
    return failed ? 1 : 0;
  }
  for (const id of resumed) print(`finished the repair ${id}, which a crash had left`);
  if (link !== null)
    print(`repaired by link ${link.seq}: ${link.balanceBefore} -> ${link.balanceAfter} (operation ${operationId})`);
  else if (outcome === "moved")
    print("nothing was done: the account is charged without a pause; freeze it, and repair it then");
  else show(plan);
  return failed ? 1 : 0;
}
