/** `drawdown accept`: a break of the chain that really happened, said to be known, for ever. Moves no money. */
import { acceptBreak } from "@drawdown/billing";
import { type AccountCredits, type Db, findAccount } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { type ActOptions, actOf } from "./act.ts";
import { print, printJson } from "./output.ts";

export type AcceptOptions = ActOptions & { account: string; seqs: string };

export async function acceptCommand(options: AcceptOptions): Promise<void> {
  const act = actOf(options);
  const [, first, last = first] = /^(\d{1,18})(?:-(\d{1,18}))?$/.exec(options.seqs) ?? [];
  if (first === undefined || last === undefined)
    throw new Problem(`--seqs must be one seq or a range, like 12 or 12-15, not ${options.seqs}.`);
  await withBilling(async (billing, db) => {
    const { id: accountId } = await accountOf(db, options.account);
    const range = { accountId, fromSeq: BigInt(first), toSeq: BigInt(last) };
    const outcome = await acceptBreak(billing, range, act);
    if (outcome.outcome === "refused") throw new Problem(`Nothing was accepted: ${outcome.message}.`);
    const breaks = outcome.outcome === "accepted" ? outcome.breaks : outcome.accepted;
    const operationId = outcome.outcome === "accepted" ? outcome.operationId : (outcome.accepted[0]?.actionId ?? null);
    if (options.json)
      return printJson({
        operation_id: operationId,
        outcome: outcome.outcome,
        account_id: accountId,
        breaks: breaks.map(({ kind, fromSeq, toSeq, links }) => ({ kind, from_seq: fromSeq, to_seq: toSeq, links })),
      });
    const said = outcome.outcome === "accepted" ? "accepted" : "accepted before";
    for (const { kind, fromSeq, toSeq } of breaks)
      print(`${kind} ${fromSeq}-${toSeq} ${said} (operation ${operationId})`);
  });
}

/** By its id or its owner's. Throws a `Problem` when there is none. */
export async function accountOf(db: Db, id: string): Promise<AccountCredits> {
  const account = await findAccount(db, id);
  if (account === undefined) throw new Problem(`No account has the id, or an owner with the id, ${id}.`);
  return account;
}
