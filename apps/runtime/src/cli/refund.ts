/** `drawdown refund`: gives a settled charge back, or a part of it; never more than was charged. */
import { formatUnits, parseUnits, refund } from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { type ActOptions, actOf } from "./act.ts";
import { print, printJson } from "./output.ts";

export async function refundCommand(deduction: string, options: ActOptions & { amount?: string }): Promise<void> {
  const act = actOf(options);
  const amountNanos = options.amount === undefined ? undefined : parseUnits(options.amount);
  await withDatabase(async (db) => {
    const outcome = await refund({ db }, deduction, act, amountNanos);
    switch (outcome.outcome) {
      case "not_settled":
        throw new Problem(
          `No deduction ${deduction} is in the books. Follow it with trace; what did not settle is replayed first.`,
        );
      case "exceeds": {
        const [charged, refunded] = [outcome.chargedNanos, outcome.refundedNanos].map(formatUnits);
        throw new Problem(`Nothing was refunded: ${charged} was charged, and ${refunded} of it is given back already.`);
      }
      case "refunded":
      case "repeated": {
        const amount = formatUnits(outcome.amountNanos);
        const refunded = formatUnits(outcome.refundedNanos);
        const left = formatUnits(outcome.chargedNanos - outcome.refundedNanos);
        if (!options.json)
          return print(
            `${amount} ${outcome.currency} refunded to ${outcome.accountId}; ${left} of the charge is left.`,
          );
        printJson({
          operation_id: outcome.operationId,
          deduction_id: deduction,
          account_balance_id: outcome.accountId,
          currency: outcome.currency,
          amount,
          charged: formatUnits(outcome.chargedNanos),
          refunded,
          left,
          audit_id: outcome.auditId,
        });
      }
    }
  });
}
