/** `drawdown dead-letters`: what could not be settled, and why. */
import {
  countDeadLetters,
  type DeadLetter,
  type LetterFilters,
  type LetterState,
  listDeadLetters,
} from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { type Filters, filtersOf } from "./act.ts";
import { duration, print, printJson, printTable } from "./output.ts";

export type DeadLettersOptions = Filters & {
  json: boolean;
  state: LetterState | "all";
  errorClass?: string;
  limit: number;
  after?: string;
};

export async function deadLettersCommand(options: DeadLettersOptions): Promise<void> {
  const { state, errorClass, limit, after } = options;
  if (after !== undefined && !/^\d{1,18}$/.test(after)) throw new Problem(`--after takes a letter's id, not ${after}.`);
  await withBilling(async (billing) => {
    const filters: LetterFilters = {
      ...filtersOf(options, billing.numShards),
      ...(state === "all" ? {} : { states: [state] }),
      ...(errorClass === undefined ? {} : { errorClass }),
    };
    const letters = await listDeadLetters(billing.query, filters, { limit, ...(after === undefined ? {} : { after }) });
    const count = await countDeadLetters(billing.query, filters);
    const next = letters.length === limit ? (letters.at(-1)?.id ?? null) : null;
    if (options.json) return printJson({ count, next, dead_letters: letters.map(document) });
    if (letters.length === 0) return print("No dead letters.");
    printTable([
      ["id", "state", "age", "attempts", "why", "entry", "deduction", "cost", "account"],
      ...letters.map(row),
    ]);
    if (next !== null) print(`… of ${count}; the next page: --after ${next}`);
  });
}

function document(letter: DeadLetter) {
  return {
    id: letter.id,
    state: letter.state,
    stream: letter.streamKey,
    shard: letter.shard ?? null,
    entry_id: letter.entryId,
    deduction_id: letter.deductionId,
    account_id: letter.accountId,
    account_seq: letter.accountSeq,
    cost: letter.cost,
    balance_before: letter.balanceBefore,
    balance_after: letter.balanceAfter,
    error_class: letter.errorClass,
    error_message: letter.errorMessage,
    attempts: letter.attempts,
    created_at: letter.createdAt,
    last_attempt_at: letter.lastAttemptAt,
    history: letter.history,
    fields: letter.fields,
  };
}

function row(letter: DeadLetter): string[] {
  return [
    letter.id,
    letter.state,
    duration(Date.now() - letter.createdAt.getTime()),
    String(letter.attempts),
    letter.errorClass,
    letter.entryId,
    letter.deductionId ?? "-",
    letter.cost ?? "-",
    letter.accountId ?? "-",
  ];
}
