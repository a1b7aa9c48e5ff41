"use client";

// What opens under a link of the trail: of a charge why it cost that, of a credit what it is on record with.
import type { TrailRow } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { DeductionDetail } from "@/console/deduction-detail.tsx";
import { Amount } from "@/ui/amount.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";

export function TrailDetail({ row, currency }: { row: TrailRow; currency: string }) {
  if (row.kind === "usage" && row.deductionId !== null) return <DeductionDetail deductionId={row.deductionId} />;
  return <CreditDetail row={row} currency={currency} />;
}

function CreditDetail({ row, currency }: { row: TrailRow; currency: string }) {
  const t = useTranslations("accounts.trail");
  const { reason, actor, reference, source, creditsVersion, appliedAt, streamKey, streamEntryId } = row;
  const text = (value: string | null) =>
    value === null ? t("none") : <bdi className="whitespace-pre-wrap">{value}</bdi>;
  const refunded = reference === null ? null : /^refund:(.+):[0-9a-f-]{36}$/.exec(reference)?.[1];
  return (
    <div className="grid grid-cols-1 gap-4 py-2 lg:grid-cols-2">
      <KeyValues
        items={[
          { label: t("credit.reason"), value: text(reason) },
          { label: t("credit.actor"), value: text(actor) },
          { label: t("credit.reference"), value: text(reference) },
          ...(refunded == null
            ? []
            : [
                {
                  label: t("credit.refunds"),
                  value: (
                    <Identifier
                      id={refunded}
                      what={t("credit.refunds")}
                      href={`/trace/${encodeURIComponent(refunded)}`}
                    />
                  ),
                },
              ]),
          { label: t("credit.source"), value: text(source) },
          { label: t("credit.posted"), value: <Moment at={row.createdAt} precision="milliseconds" /> },
          {
            label: t("credit.applied"),
            value: appliedAt === null ? t("credit.notApplied") : <Moment at={appliedAt} precision="milliseconds" />,
          },
          { label: t("credit.version"), value: text(creditsVersion) },
          {
            label: t("credit.entry"),
            value:
              streamEntryId === null ? (
                t("none")
              ) : (
                <Identifier
                  id={streamEntryId}
                  what={t("credit.entry")}
                  href={`/trace/${encodeURIComponent(streamEntryId)}`}
                />
              ),
            note: streamKey ?? undefined,
          },
        ]}
      />
      {row.covered.length > 0 && (
        <section aria-label={t("credit.covered")}>
          <h3 className="mb-1 text-xs font-semibold">{t("credit.covered")}</h3>
          <KeyValues
            items={[{ ...row, amount: row.amount }, ...row.covered].map((one) => ({
              label: <Amount value={one.amount} signed currency={currency} />,
              value: <bdi>{one.reason ?? one.category}</bdi>,
              note: <Moment at={one.createdAt} />,
            }))}
          />
        </section>
      )}
    </div>
  );
}
