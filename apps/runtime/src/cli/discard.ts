/** `drawdown discard` and `drawdown restore`: dead letters set aside, and taken back. Neither moves money. */
import { discardLetters, restoreLetters } from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { type ActOptions, actOf, idsOf } from "./act.ts";
import { print, printJson } from "./output.ts";

/** Returns the exit code: 1 when a letter is not there, or is in the books by now. */
export async function moveCommand(
  name: "discard" | "restore",
  options: ActOptions & { id?: string[]; idsFrom?: string },
): Promise<number> {
  const act = actOf(options);
  const { id } = idsOf(options);
  if (id === undefined) throw new Problem(`Say what to ${name}: --id <id...> or --ids-from <file>.`);
  const ids = [...new Set(id)];
  return await withBilling(async (billing) => {
    const move = name === "discard" ? discardLetters : restoreLetters;
    const { operationId, changed, already, replayed, missing } = await move(billing, ids, act);
    const failed = replayed.length + missing.length;
    if (options.json)
      printJson({
        operation_id: operationId,
        targets: ids.length,
        applied: changed.length,
        already: already.length,
        failed,
      });
    else {
      print(`${changed.length} ${name === "discard" ? "discarded" : "restored"}, ${already.length} already so`);
      if (replayed.length > 0) print(`  failed: ${replayed.join(", ")}: replayed, so in the books`);
      if (missing.length > 0) print(`  failed: ${missing.join(", ")}: no such dead letter`);
    }
    return failed > 0 ? 1 : 0;
  });
}
