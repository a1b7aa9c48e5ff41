"use client";

import { useQuery } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Moment } from "@/ui/moment.tsx";

/** The closing balance that the chain goes on from, when older deductions were exported and removed. */
export function Closing({ accountId, currency }: { accountId: string; currency: string }) {
  const t = useTranslations("accounts.trail.closing");
  const trpc = useTRPC();
  const { data } = useQuery(trpc.account.closing.queryOptions({ accountId }));
  if (!data) return null;
  return (
    <section aria-label={t("title")} className="rounded-md border border-dashed border-line-strong px-3 py-2">
      <h3 className="text-sm font-semibold">
        {t("title")} <Amount value={data.balance} currency={currency} />
      </h3>
      <p className="text-xs text-quiet">
        {t("upTo", { seq: data.seq })} <Moment at={data.at} />. {t("exported", { files: data.files })}{" "}
        <code className="break-all">{data.file}</code>
      </p>
    </section>
  );
}
