"use client";

// A new price. It never changes an older row: from its moment on it holds in that one's place.
import type { SetPriceOutcome } from "@drawdown/billing";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPCClient } from "@/trpc/client.ts";
import { PriceChangePreview } from "@/views/settings-prices/price-change.tsx";
import { PriceFields } from "@/views/settings-prices/price-fields.tsx";
import { type CustomerTypes, meaningOf, type PriceText } from "@/views/settings-prices/price-text.ts";

export function SetPrice({
  start,
  types,
  open,
  onOpenChange,
  onDone,
}: {
  start: PriceText;
  types: CustomerTypes;
  open: boolean;
  onOpenChange: (open: boolean) => void;
  onDone: () => void;
}) {
  const t = useTranslations("prices");
  const { prices } = useTRPCClient();
  const [text, setText] = useState(start);
  const price = meaningOf(text);
  const command = useCommand(price === undefined ? undefined : { act: "set_price", price });
  const outcome = (result: SetPriceOutcome) => {
    if (result.outcome === "refused") return null;
    const { provider, model } = result.price;
    const word = result.outcome === "set" ? "done" : "repeated";
    return <p className="wrap-anywhere">{t(word, { model: `${provider}/${model}` })}</p>;
  };
  return (
    <ActDialog<SetPriceOutcome>
      open={open}
      onOpenChange={(next) => {
        if (!next) setText(start);
        onOpenChange(next);
      }}
      title={t("set")}
      description={t("setNote")}
      impact={impactOf(1)}
      verb={t("setVerb")}
      prepared={price !== undefined}
      command={command}
      act={async (why) => {
        if (price === undefined) throw new Error("The price is not complete.");
        return await prices.set.mutate({ price, ...why });
      }}
      refused={(result) => {
        if (result.outcome !== "refused") return undefined;
        return result.reason === "invalid" ? result.message : t(`refusal.${result.reason}`);
      }}
      outcome={outcome}
      onDone={onDone}
    >
      <PriceFields value={text} types={types} onChange={setText} />
      <PriceChangePreview change={price === undefined || !open ? undefined : { set: price }} />
    </ActDialog>
  );
}
