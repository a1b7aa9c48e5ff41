/** `drawdown trace`: one deduction's way, hop by hop; a hop that was not reached says what can be done. */
import { type HoldFound, type Hop, type Neighbour, searchFor, type Trace, trace } from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { print, printJson } from "./output.ts";
import { explain, refusalJson } from "./refusals.ts";

export async function traceCommand(id: string, options: { json: boolean }): Promise<void> {
  await withBilling(async (billing) => {
    const found = await trace(billing, id);
    if (found.state === "unknown") {
      const nothing = `Nothing is known of ${id}: no deduction, request, stream entry, usage_log row, dead letter, hold, credit or refusal.`;
      if (found.exports.length === 0) throw new Problem(nothing);
      throw new Problem([nothing, ...whereExported(found)].join("\n"));
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
        exports: found.exports.map(({ removedAt, ...file }) => ({ ...file, removed_at: removedAt })),
        refusals: found.refusals.map(refusalJson),
        kind: found.kind,
        account_balance_id: found.accountId,
        owner_id: found.ownerId,
        account_type: found.accountType,
        shard: found.shard,
        account_seq: found.seq,
        hold: found.hold && holdJson(found.hold),
        previous: found.previous && neighbourJson(found.previous),
        next: found.next && neighbourJson(found.next),
        operations: found.operations.map(({ startedAt, ...operation }) => ({ ...operation, started_at: startedAt })),
        alerts: found.alerts.map(({ openedAt, ...alert }) => ({ ...alert, opened_at: openedAt })),
      });
    }
    const heading = `${found.deductionId ?? found.id} is ${found.state.replaceAll("_", " ")}`;
    print([heading, ...found.hops.map(line), ...found.refusals.map(explain), ...whereExported(found)].join("\n"));
  });
}

/** Where to look for a deduction whose rows may have been exported. */
function whereExported({ id, deductionId, exports }: Trace): string[] {
  if (exports.length === 0) return [];
  const files = exports.map(({ name }) => `  ${searchFor(deductionId ?? id, name)}`);
  return ["What was drawn in its time was exported and removed. In the directory of retention:", ...files];
}

function neighbourJson({ seq, deductionId, auditId, amount }: Neighbour) {
  return { account_seq: seq, deduction_id: deductionId, audit_id: auditId, amount };
}

function holdJson({ holdId, accountId, requestId, virtualKey, openedAt, expiresAt, ...hold }: HoldFound) {
  return {
    hold_id: holdId,
    account_id: accountId,
    request_id: requestId,
    virtual_key: virtualKey,
    opened_at: openedAt,
    expires_at: expiresAt,
    ...hold,
  };
}

function line(hop: Hop): string {
  const details = Object.entries(hop.detail)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const said = [hop.at ?? "", ...details, hop.advice ?? ""].filter((text) => text !== "");
  return `  ${hop.reached ? "✓" : "·"} ${hop.name.padEnd(12)}  ${said.join("  ")}`;
}
