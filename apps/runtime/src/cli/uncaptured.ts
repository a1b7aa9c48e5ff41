/** `drawdown uncaptured`: requests whose gateway died before it could charge what it had delivered. */
import { listUncaptured } from "@drawdown/billing";
import { withBilling } from "../stores.ts";
import { print, printJson, printTable } from "./output.ts";

export async function uncapturedCommand(options: { json: boolean; account?: string; limit: number }): Promise<void> {
  await withBilling(async (billing) => {
    const { account: accountId, limit } = options;
    const holds = await listUncaptured(billing, { limit, ...(accountId === undefined ? {} : { accountId }) });
    if (options.json)
      return printJson({
        count: holds.length,
        holds: holds.map((hold) => ({
          hold_id: hold.holdId,
          account_id: hold.accountId,
          virtual_key: hold.virtualKey,
          request_id: hold.requestId,
          provider: hold.provider,
          model: hold.model,
          amount: hold.amount,
          opened_at: hold.openedAt,
          expired_at: hold.expiredAt,
        })),
      });
    if (holds.length === 0) return print("Nothing was served and not captured.");
    printTable([
      ["expired", "hold", "account", "request", "model", "set aside"],
      ...holds.map((hold) => [
        hold.expiredAt.toISOString(),
        hold.holdId,
        hold.accountId,
        hold.requestId,
        `${hold.provider}/${hold.model}`,
        hold.amount,
      ]),
    ]);
  });
}
