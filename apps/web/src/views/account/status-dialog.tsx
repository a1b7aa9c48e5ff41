"use client";

import type { AccountHeader } from "@drawdown/db";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { useAccountChanged } from "@/views/account/account-changed.ts";

type Props = {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  account: AccountHeader;
  /** As it is now; what is offered is the other. */
  frozen: boolean;
};

/** Freezing and unfreezing. What it was when the dialog opened is what it does, whatever happens to the account meanwhile. */
export function StatusDialog({ open, onOpenChange, account, frozen }: Props) {
  const t = useTranslations("accounts.freeze");
  const trpc = useTRPC();
  const changed = useAccountChanged(account.id);
  const [opened, setOpened] = useState({ open, frozen });
  if (opened.open !== open) setOpened({ open, frozen });
  const act = opened.frozen ? "unfreeze" : "freeze";
  const freeze = useMutation(trpc.account.freeze.mutationOptions());
  const unfreeze = useMutation(trpc.account.unfreeze.mutationOptions());
  const { id: accountId, currency } = account;
  const command = useCommand({ act, accountId });
  const outcome = (result: NonNullable<typeof freeze.data>) => (
    <p>{t(result.outcome === "changed" ? `${act}.done` : result.outcome)}</p>
  );
  return (
    <ActDialog
      open={open}
      onOpenChange={onOpenChange}
      title={t(`${act}.title`)}
      description={t(`${act}.description`)}
      impact={{ kind: "one" }}
      verb={t(`${act}.verb`)}
      danger={act === "freeze"}
      command={command}
      act={(why) => (act === "freeze" ? freeze : unfreeze).mutateAsync({ accountId, ...why })}
      outcome={outcome}
      onDone={changed}
    >
      <KeyValues
        items={[
          { label: t("account"), value: <bdi>{account.ownerName ?? account.ownerEmail ?? account.id}</bdi> },
          { label: t("status"), value: t(opened.frozen ? "fromFrozen" : "fromActive") },
          { label: t("balance"), value: <Amount value={account.balance} currency={currency} wrap />, note: t("kept") },
          { label: t("keys"), value: t("keysCount", { count: account.activeKeys }) },
        ]}
      />
    </ActDialog>
  );
}
