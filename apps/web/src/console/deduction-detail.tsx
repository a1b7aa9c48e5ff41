"use client";

// What opens under a deduction, in every list that has deductions: why it cost that, where it stands in its stream, what its caller said of
// it, and the way to give it back.
import { useQuery } from "@tanstack/react-query";
import { Undo2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useTranslations } from "use-intl";
import { isZero } from "@/console/decimals.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useReasonAgainst } from "@/console/operator.tsx";
import { WhyCost } from "@/console/why-cost.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Button, ButtonLink } from "@/ui/button.tsx";
import { JsonBlock } from "@/ui/code.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";
import { openedOnDemand } from "@/ui/on-demand.tsx";
import { SkeletonLines } from "@/ui/states.tsx";

const RefundDialog = openedOnDemand(
  () => import("@/console/refund-dialog.tsx").then((module) => module.RefundDialog),
  "dialog",
);

export function DeductionDetail({ deductionId }: { deductionId: string }) {
  const t = useTranslations("deductions");
  const trpc = useTRPC();
  const one = useQuery(trpc.deductions.one.queryOptions({ deductionId }));
  const [refunding, setRefunding] = useState(false);
  const refused = useReasonAgainst("admin");
  if (one.data === undefined) return one.error ? <FaultNotice error={one.error} /> : <SkeletonLines lines={4} />;
  if (one.data === null) return <p>{t("detail.gone")}</p>;
  const { deduction, why, refundable } = one.data;
  const nothingLeft =
    refundable === null ? t("refund.notSettled") : isZero(refundable.left) ? t("refund.nothingLeft") : undefined;
  return (
    <div className="grid grid-cols-1 gap-4 py-2 lg:grid-cols-2">
      <WhyCost why={why} currency={deduction.currency} />
      <Place deduction={deduction}>
        <ButtonLink size="small" href={`/trace/${encodeURIComponent(deductionId)}`} prefetch={false}>
          {t("detail.trace")}
        </ButtonLink>
        <Button
          size="small"
          icon={<Undo2 aria-hidden className="size-3.5" />}
          reason={refused ?? nothingLeft}
          onClick={() => setRefunding(true)}
        >
          {t("refund.button")}
        </Button>
        {refundable !== null && !isZero(refundable.refunded) && (
          <span className="text-xs text-quiet">
            {t("refund.already")} <Amount value={refundable.refunded} currency={refundable.currency} />
          </span>
        )}
      </Place>
      {refundable !== null && <RefundDialog open={refunding} onOpenChange={setRefunding} refundable={refundable} />}
    </div>
  );
}

type Shown = {
  id: string;
  virtualKey: string;
  requestId: string | null;
  usageSource: string | null;
  streamKey: string | null;
  streamEntryId: string | null;
  consumer: string | null;
  deliveryCount: number | null;
  settledAt: Date | null;
  /** JSON. */
  metadata: string | null;
};

function Place({ deduction, children }: { deduction: Shown; children: ReactNode }) {
  const t = useTranslations("deductions");
  const { streamKey, streamEntryId, consumer, deliveryCount, settledAt, requestId, metadata } = deduction;
  const linked = (id: string | null, what: string) =>
    id === null ? t("none") : <Identifier id={id} what={what} href={`/trace/${encodeURIComponent(id)}`} />;
  return (
    <section aria-label={t("detail.place")} className="grid grid-cols-1 content-start gap-2 text-sm">
      <h3 className="text-xs font-semibold">{t("detail.place")}</h3>
      <KeyValues
        items={[
          { label: t("detail.entry"), value: linked(streamEntryId, t("detail.entry")), note: streamKey ?? undefined },
          {
            label: t("detail.delivered"),
            value: consumer === null ? t("unknown") : <bdi>{consumer}</bdi>,
            note: deliveryCount === null ? undefined : t("detail.deliveries", { count: deliveryCount }),
          },
          {
            label: t("detail.settled"),
            value: settledAt === null ? t("settled.no") : <Moment at={settledAt} precision="milliseconds" />,
          },
          { label: t("detail.row"), value: <Identifier id={deduction.id} what={t("detail.row")} /> },
          { label: t("detail.request"), value: linked(requestId, t("detail.request")) },
          { label: t("filter.key"), value: <Identifier id={deduction.virtualKey} what={t("filter.key")} /> },
          { label: t("filter.source"), value: sourceWord(t, deduction.usageSource) },
        ]}
      />
      {metadata !== null && (
        <Disclosure label={t("detail.metadata")}>
          <JsonBlock what={t("detail.metadata")} text={metadata} />
        </Disclosure>
      )}
      <div className="flex flex-wrap items-center gap-2">{children}</div>
    </section>
  );
}

const SOURCES = ["provider", "partial", "estimated", "none", "reported"] as const;

function sourceWord(t: ReturnType<typeof useTranslations<"deductions">>, source: string | null): string {
  const known = SOURCES.find((one) => one === source);
  return t(`source.${known ?? "unknown"}`);
}
