"use client";

// How far below zero an account may go.
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { BalancePreview } from "@/console/balance-preview.tsx";
import { negated, plus, readAmount } from "@/console/decimals.ts";
import { useTRPC } from "@/trpc/client.ts";
import { TextField } from "@/ui/text-field.tsx";
import type { ActOn } from "@/views/account/account-changed.ts";
import { useAccountChanged } from "@/views/account/account-changed.ts";

type Props = ActOn & { open: boolean; onOpenChange: (open: boolean) => void };

export function LimitDialog({ open, onOpenChange, account, standing }: Props) {
  const t = useTranslations("accounts.limit");
  const trpc = useTRPC();
  const changed = useAccountChanged(account.id);
  const [typed, setTyped] = useState("");
  const set = useMutation(trpc.account.setLimit.mutationOptions());
  const { id: accountId, currency } = account;
  const before = standing?.settled.creditLimit ?? account.creditLimit;
  const nanos = readAmount(typed);
  const good = nanos !== undefined && nanos >= 0n;
  const limit = typed.trim();
  const command = useCommand(good ? { act: "credit_limit", accountId, limit } : undefined);
  const available = standing?.realTime?.available ?? null;
  const step = good ? plus(limit, negated(before)) : null;
  const outcome = (result: NonNullable<typeof set.data>) => <p>{t(result.outcome)}</p>;
  return (
    <ActDialog
      open={open}
      onOpenChange={onOpenChange}
      title={t("title")}
      description={t("description")}
      impact={{ kind: "one" }}
      verb={t("verb")}
      prepared={good}
      command={command}
      act={(why) => set.mutateAsync({ accountId, limit, ...why })}
      outcome={outcome}
      onDone={() => {
        changed();
        setTyped("");
      }}
    >
      <TextField
        label={t("limit", { currency })}
        value={typed}
        onChange={setTyped}
        inputMode="decimal"
        autoComplete="off"
        placeholder={before}
        mono
        error={typed !== "" && !good ? t("wrong") : undefined}
      />
      <BalancePreview
        currency={currency}
        unknown={t("unknown")}
        changes={[
          { label: t("before"), before, after: step === null ? null : plus(before, step) },
          {
            label: t("available"),
            before: available,
            after: available === null || step === null ? null : plus(available, step),
          },
        ]}
      />
    </ActDialog>
  );
}
