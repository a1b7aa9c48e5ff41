"use client";

// What a key drew in the present period of its limit, beside the limit: as the gateways count it.
import type { KeyListRow } from "@drawdown/db";
import { skipToken, useQuery } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { isBelow } from "@/console/decimals.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";

export function KeySpend({ apiKey }: { apiKey: KeyListRow }) {
  const t = useTranslations("keys");
  const trpc = useTRPC();
  const { virtualKey, accountId, ownerId, accountType, spendLimit, spendPeriod: period } = apiKey;
  const payer = accountId && ownerId && accountType ? { id: accountId, ownerId, type: accountType } : undefined;
  const asked = period !== null && payer !== undefined ? { account: payer, virtualKey, period } : skipToken;
  const { data, isError } = useQuery(trpc.keys.spent.queryOptions(asked));
  if (spendLimit === null || period === null) return <span className="text-quiet">{t("noLimit")}</span>;
  const spent = data?.spent;
  return (
    <span className="inline-grid whitespace-nowrap">
      {spent === undefined ? (
        <span className="text-quiet">{isError || payer === undefined ? t("spentUnknown") : "…"}</span>
      ) : (
        <Amount value={spent} className={isBelow(spent, spendLimit) ? "" : "font-medium text-critical"} />
      )}
      <span className="text-xs text-quiet">
        / <Amount value={spendLimit} /> {t(`perPeriod.${period}`)}
      </span>
    </span>
  );
}
