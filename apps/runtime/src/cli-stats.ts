/** `drawdown stats` */
import { stats } from "@drawdown/billing";
import { print, printJson } from "./cli-output.ts";
import { withBilling } from "./cli-stores.ts";

export async function statsCommand(options: { json: boolean }): Promise<void> {
  await withBilling(async (billing, db) => {
    const found = await stats(billing, db);
    if (options.json) return printJson(found);
    print(JSON.stringify(found, (_, value) => (typeof value === "bigint" ? value.toString() : value), 2));
  });
}
