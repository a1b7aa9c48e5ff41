"use client";

import { useQuery } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { newerQuery } from "@/console/list-query.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";

/** Credits that are in the books and no link of the trail yet: Redis has not applied them. */
export function WaitingCredits({ accountId, currency }: { accountId: string; currency: string }) {
  const t = useTranslations("accounts.trail.notApplied");
  const trpc = useTRPC();
  const { data = [] } = useQuery({ ...trpc.account.waitingCredits.queryOptions({ accountId }), ...newerQuery });
  if (data.length === 0) return null;
  return (
    <section aria-label={t("title")} className="rounded-md border border-dashed border-line-strong px-3 py-2">
      <h3 className="text-sm font-semibold">{t("title")}</h3>
      <p className="text-xs text-quiet">{t("help")}</p>
      <KeyValues
        items={data.map((one) => ({
          label: <Amount value={one.amount} signed currency={currency} />,
          value: <bdi>{one.reason ?? one.category}</bdi>,
          note: <Moment at={one.createdAt} />,
        }))}
      />
    </section>
  );
}
