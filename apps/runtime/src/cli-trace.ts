/** `drawdown trace` */
import { trace } from "@drawdown/billing";
import { print, printJson } from "./cli-output.ts";
import { withBilling } from "./cli-stores.ts";
import { Problem } from "./problem.ts";

export async function traceCommand(id: string, options: { json: boolean }): Promise<void> {
  await withBilling(async (billing, db) => {
    const found = await trace(billing, db, id);
    if (found === undefined)
      throw new Problem(`Nothing is known of ${id}: no deduction, request, stream entry or usage_log row.`);
    if (options.json) return printJson(found);
    print(JSON.stringify(found, (_, value) => (typeof value === "bigint" ? value.toString() : value), 2));
  });
}
