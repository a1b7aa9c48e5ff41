// What was served and not captured: holds whose gateway died. One that was captured late after all is in usage_log, and no longer here.
import { isUuid } from "./accounts.ts";
import { given, listOf } from "./pages.ts";

export type UncapturedFilters = { accountId?: string; virtualKey?: string; model?: string };

/** `amount` is what was set aside, in units with 9 decimals. */
export type UncapturedRow = {
  holdId: string;
  accountId: string;
  virtualKey: string;
  requestId: string;
  provider: string;
  model: string;
  amount: string;
  openedAt: Date;
  expiredAt: Date;
};

const holds = listOf<UncapturedFilters, UncapturedRow>(
  { column: "x.expired_at", type: "timestamptz" },
  ({ accountId, virtualKey, model }) => ({
    from: () => "data.uncaptured_hold x",
    where: [],
    residual: [
      () => "(SELECT true FROM data.usage_log u WHERE u.deduction_id = x.hold_id) IS NULL",
      ...given(accountId, (value) => (bind) => (isUuid(value) ? `x.account_id = ${bind(value)}::uuid` : "false")),
      ...given(virtualKey, (value) => (bind) => `x.virtual_key = ${bind(value)}`),
      ...given(model, (value) => (bind) => `x.model = ${bind(value)}`),
    ],
    keys: [
      { column: "x.expired_at", type: "timestamptz" },
      { column: "x.hold_id", type: "text" },
    ],
    columns: `x.hold_id AS "holdId", x.account_id AS "accountId", x.virtual_key AS "virtualKey", x.request_id AS "requestId", x.provider, x.model,
      x.amount, x.opened_at AS "openedAt", x.expired_at AS "expiredAt"`,
  }),
);

/** Holds by when they expired. Throws `InvalidPage`, and what the driver throws. */
export const pageUncaptured = holds.page;
export const countUncaptured = holds.count;
export const countNewerUncaptured = holds.newer;
