"use client";

// What setting or removing a price would do to the cost of one example call, as the books would reckon it.
import type { CallCost } from "@drawdown/billing";
import { keepPreviousData, skipToken, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";
import { SkeletonLines } from "@/ui/states.tsx";
import type { TypedPrice } from "@/views/settings-prices/price-text.ts";

const EXAMPLE = { input: 10_000, cached: 2_000, written: 0, output: 1_000 };
const PAUSE_MS = 300;

type Change = { set: TypedPrice } | { remove: string };

export function PriceChangePreview({ change }: { change: Change | undefined }) {
  const t = useTranslations("prices");
  const trpc = useTRPC();
  const asked = useRested(change);
  const preview = useQuery({
    ...trpc.prices.preview.queryOptions(asked === undefined ? skipToken : { change: asked, call: EXAMPLE }),
    placeholderData: keepPreviousData,
  });
  if (change === undefined) return null;
  const { data } = preview;
  return (
    <section
      aria-label={t("preview.title")}
      className="rounded-md border border-line p-3"
      aria-busy={preview.isFetching}
    >
      <h3 className="text-sm font-medium">{t("preview.title")}</h3>
      <p className="text-xs text-quiet">{t("preview.call", EXAMPLE)}</p>
      {data === undefined &&
        (preview.error ? <FaultNotice error={preview.error} beside /> : <SkeletonLines lines={2} />)}
      {data?.outcome === "refused" && <p className="text-sm wrap-anywhere text-critical">{data.message}</p>}
      {data?.outcome === "unknown_price" && <p className="text-sm text-critical">{t("unknown")}</p>}
      {data?.outcome === "previewed" && (
        <KeyValues
          items={[
            { label: t("preview.before"), value: <Cost cost={data.before} /> },
            { label: t("preview.after"), value: <Cost cost={data.after} /> },
            { label: t("preview.at"), value: <Moment at={data.at} /> },
          ]}
        />
      )}
    </section>
  );
}

export function Cost({ cost }: { cost: CallCost | null }) {
  const t = useTranslations("prices");
  if (cost === null) return <span className="text-critical">{t("preview.none")}</span>;
  const { explanation } = cost;
  return (
    <>
      <Amount value={cost.cost} currency={explanation.currency} />{" "}
      <span className="text-xs text-quiet">
        {t("preview.by")} <bdi>{`${explanation.provider}/${explanation.model}`}</bdi>
      </span>
    </>
  );
}

/** The value once it has not changed for a moment. */
function useRested<T>(value: T): T {
  const [rested, setRested] = useState(value);
  const text = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), PAUSE_MS);
    return () => clearTimeout(timer);
    // The same price, made anew by each drawing, is the same.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [text]);
  return rested;
}
