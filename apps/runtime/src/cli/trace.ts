/** `drawdown trace`: one deduction's way, hop by hop; a hop that was not reached says what can be done. */
import { type Hop, trace } from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { print, printJson } from "./output.ts";
import { explain, refusalJson } from "./refusals.ts";

export async function traceCommand(id: string, options: { json: boolean }): Promise<void> {
  await withBilling(async (billing) => {
    const found = await trace(billing, id);
    if (found.state === "unknown") {
      throw new Problem(
        `Nothing is known of ${id}: no deduction, request, stream entry, usage_log row, dead letter or refusal.`,
      );
    }
    if (options.json) {
      return printJson({
        id: found.id,
        state: found.state,
        deduction_id: found.deductionId,
        hops: found.hops,
        entry: found.entry,
        usage_log: found.usageLog,
        audit: found.audit,
        dead_letter: found.deadLetter,
        refusals: found.refusals.map(refusalJson),
      });
    }
    const heading = `${found.deductionId ?? found.id} is ${found.state.replace("_", " ")}`;
    print([heading, ...found.hops.map(line), ...found.refusals.map(explain)].join("\n"));
  });
}

function line(hop: Hop): string {
  const details = Object.entries(hop.detail)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const said = [hop.at ?? "", ...details, hop.advice ?? ""].filter((text) => text !== "");
  return `  ${hop.reached ? "✓" : "·"} ${hop.name.padEnd(12)}  ${said.join("  ")}`;
}
