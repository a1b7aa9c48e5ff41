"use client";

import type { RemoveProviderOutcome, StoredProvider } from "@drawdown/billing";
import { useQueryClient } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPC, useTRPCClient } from "@/trpc/client.ts";

export function RemoveProvider({
  open,
  onOpenChange,
  provider: { name },
}: {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  provider: StoredProvider;
}) {
  const t = useTranslations("providers");
  const trpc = useTRPC();
  const { providers } = useTRPCClient();
  const queries = useQueryClient();
  const command = useCommand({ act: "remove_provider", name });
  const outcome = (result: RemoveProviderOutcome) => (
    <p className="wrap-anywhere">{t(result.outcome === "unknown_provider" ? "unknown" : result.outcome, { name })}</p>
  );
  return (
    <ActDialog<RemoveProviderOutcome>
      open={open}
      onOpenChange={onOpenChange}
      title={t("removeTitle", { name })}
      description={t("removeNote")}
      impact={impactOf(1)}
      verb={t("remove")}
      danger
      command={command}
      act={(why) => providers.remove.mutate({ name, ...why })}
      outcome={outcome}
      onDone={() => {
        void queries.invalidateQueries(trpc.providers.pathFilter());
      }}
    />
  );
}
