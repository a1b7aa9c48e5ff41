/** `drawdown demo`: makes what shows every page of the console; run again it adds nothing that is there. */
import { makeDemo } from "../demo/demo.ts";
import { withBilling } from "../stores.ts";
import { printJson, printPairs } from "./output.ts";

export async function demoCommand(options: { json: boolean }): Promise<void> {
  const figures = await withBilling(makeDemo);
  if (options.json) printJson(figures);
  else printPairs(Object.entries(figures).map(([name, figure]) => [name.replaceAll("_", " "), String(figure)]));
}
