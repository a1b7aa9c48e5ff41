"use client";

import type { RemovePriceOutcome } from "@drawdown/billing";
import type { PriceListRow } from "@drawdown/db";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPCClient } from "@/trpc/client.ts";
import { PriceChangePreview } from "@/views/settings-prices/price-change.tsx";
import { RowPrices } from "@/views/settings-prices/row-prices.tsx";

const words = { removed: "removed", repeated: "repeated", unknown_price: "unknown" } as const;

export function RemovePrice({
  row,
  open,
  onOpenChange,
  onDone,
}: {
  row: PriceListRow;
  open: boolean;
  onOpenChange: (open: boolean) => void;
  onDone: () => void;
}) {
  const t = useTranslations("prices");
  const { prices } = useTRPCClient();
  const { id, provider, model } = row;
  const command = useCommand({ act: "remove_price", id });
  const outcome = (result: RemovePriceOutcome) => <p>{t(words[result.outcome])}</p>;
  return (
    <ActDialog<RemovePriceOutcome>
      open={open}
      onOpenChange={onOpenChange}
      title={t("removeTitle", { model: `${provider}/${model}` })}
      description={t("removeNote")}
      impact={impactOf(1)}
      verb={t("remove")}
      danger
      command={command}
      act={(why) => prices.remove.mutate({ id, ...why })}
      outcome={outcome}
      onDone={onDone}
    >
      <RowPrices row={row} />
      <PriceChangePreview change={open ? { remove: id } : undefined} />
    </ActDialog>
  );
}
