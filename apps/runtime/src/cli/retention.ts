/** `drawdown retention`: takes what is old out of the books into files, and checks that the files are still to be had. */
import {
  previewRetention,
  RETENTION_DAYS_LEAST,
  type Retained,
  type RetentionPreview,
  type RetentionVerification,
  retain,
  verifyRetention,
} from "@drawdown/billing";
import { readConfig } from "../config.ts";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { type ActOptions, actOf } from "./act.ts";
import { print, printJson, printTable } from "./output.ts";

export type RetentionOptions = ActOptions & {
  olderThanDays?: number;
  before?: Date;
  directory?: string;
  dryRun: boolean;
};

const DAY_MS = 86_400_000;

export async function retentionCommand(options: RetentionOptions): Promise<void> {
  const act = options.dryRun ? undefined : actOf(options);
  const before = cutOf(options);
  const directory = act && directoryOf(options.directory);
  await withBilling(async (billing) => {
    if (act === undefined || directory === undefined)
      return printPreview(await previewRetention(billing, before), before, options.json);
    printRetained(await retain(billing, { before, directory }, act), before, options.json);
  });
}

/** Returns the exit code: 1 when a file or a closing balance is not as it was sealed. */
export async function verifyRetentionCommand(options: { json: boolean; directory?: string }): Promise<number> {
  const directory = directoryOf(options.directory);
  return await withBilling(async (billing) => {
    const found = await verifyRetention(billing, directory);
    if (options.json) printJson(found);
    else show(found);
    return found.ok ? 0 : 1;
  });
}

function cutOf({ olderThanDays, before }: RetentionOptions): Date {
  if (before !== undefined && olderThanDays !== undefined)
    throw new Problem("--before and --older-than-days say the same thing: give one.");
  const days = olderThanDays ?? readConfig([]).retention?.days;
  const cut = before ?? (days === undefined ? undefined : new Date(Date.now() - days * DAY_MS));
  if (cut === undefined) throw new Problem("How old? --older-than-days <n>, or RETENTION_DAYS.");
  if (cut.getTime() > Date.now() - RETENTION_DAYS_LEAST * DAY_MS)
    throw new Problem(
      `${RETENTION_DAYS_LEAST} days stay: spend limits of a month and the ids of repeated requests are asked of these rows.`,
    );
  return cut;
}

function directoryOf(directory: string | undefined): string {
  const found = directory ?? readConfig([]).retention?.directory;
  if (found === undefined) throw new Problem("Where to? --directory <path>, or RETENTION_DIR.");
  return found;
}

function printPreview(preview: RetentionPreview, before: Date, json: boolean): void {
  const { accounts, deductions, cost, oldest, broken } = preview;
  if (json) return printJson({ dry_run: true, before, accounts, deductions, cost, oldest, broken });
  print(
    `${deductions} deductions of ${accounts} accounts before ${before.toISOString()} would be exported and removed, ${cost} in all`,
  );
  sayBroken(broken);
}

function printRetained({ files, deductions, cost, broken }: Retained, before: Date, json: boolean): void {
  if (json)
    return printJson({
      dry_run: false,
      before,
      deductions,
      cost,
      files: files.map(({ operationId, ...file }) => ({ ...file, operation_id: operationId })),
      broken,
    });
  print(`${deductions} deductions before ${before.toISOString()} exported and removed, ${cost} in all`);
  const row = (file: Retained["files"][number]) => [
    file.name,
    String(file.accounts),
    String(file.deductions),
    file.cost,
    file.sha256,
  ];
  if (files.length > 0) printTable([["file", "accounts", "deductions", "cost", "sha256"], ...files.map(row)]);
  sayBroken(broken);
}

function sayBroken(broken: readonly string[]): void {
  if (broken.length > 0)
    print(
      `Nothing goes of ${broken.length} accounts whose chain is not whole (drawdown verify-chain): ${broken.slice(0, 10).join(", ")}`,
    );
}

function show({ ok, files, deductions, unfinished, problems }: RetentionVerification): void {
  print(`${files} files with ${deductions} deductions: ${ok ? "as they were sealed" : `${problems.length} problems`}`);
  if (unfinished > 0) print(`${unfinished} not over: the next run goes on with it`);
  for (const { file, message } of problems) print(`${file === null ? "" : `${file}: `}${message}`);
}
