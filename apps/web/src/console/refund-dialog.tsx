"use client";

// Giving a charge back, in full or in part: never more than is left of it, whoever else refunds at the same moment.
import type { Refundable } from "@drawdown/billing";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { BalancePreview } from "@/console/balance-preview.tsx";
import { negated, plus, readAmount } from "@/console/decimals.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { TextField } from "@/ui/text-field.tsx";

type Props = { open: boolean; onOpenChange: (open: boolean) => void; refundable: Refundable };

export function RefundDialog({ open, onOpenChange, refundable }: Props) {
  const t = useTranslations("deductions.refund");
  const trpc = useTRPC();
  const client = useQueryClient();
  const { deductionId, left, currency } = refundable;
  const [typed, setTyped] = useState<string>();
  const text = typed ?? left;
  const wanted = readAmount(text);
  const most = readAmount(left) ?? 0n;
  const wrong = wanted === undefined || wanted <= 0n || wanted > most;
  const refund = useMutation(trpc.account.refund.mutationOptions());
  const amount = text.trim();
  const command = useCommand(wrong ? undefined : { act: "refund", deductionId, amount });
  const account = useQuery(trpc.account.header.queryOptions({ id: refundable.accountId }, { enabled: open }));
  const balance = account.data?.balance;
  const outcome = (result: NonNullable<typeof refund.data>) => {
    switch (result.outcome) {
      case "refunded":
      case "repeated":
        return (
          <p>
            {t("done")} <Amount value={result.amount} currency={currency} />
          </p>
        );
      case "exceeds":
        return <p>{t("exceeds", { refunded: result.refunded, charged: result.charged })}</p>;
      case "not_settled":
        return <p>{t("notSettled")}</p>;
    }
  };
  return (
    <ActDialog
      open={open}
      onOpenChange={(next) => {
        setTyped(undefined);
        onOpenChange(next);
      }}
      title={t("title")}
      description={t("description")}
      impact={{ kind: "one" }}
      verb={t("verb")}
      prepared={!wrong}
      command={command}
      act={({ actId, reason }) => refund.mutateAsync({ deductionId, amount, actId, reason })}
      outcome={outcome}
      onDone={() => void client.invalidateQueries(trpc.deductions.one.queryFilter({ deductionId }))}
    >
      <Of refundable={refundable} />
      <TextField
        label={t("amount", { currency })}
        value={text}
        onChange={setTyped}
        inputMode="decimal"
        mono
        error={wrong ? t("wrong", { left }) : undefined}
      />
      <BalancePreview
        currency={currency}
        unknown={t("unknown")}
        changes={[
          { label: t("balance"), before: balance ?? null, after: wrong || !balance ? null : plus(balance, amount) },
          { label: t("left"), before: left, after: wrong ? null : plus(left, negated(amount)) },
        ]}
      />
    </ActDialog>
  );
}

function Of({ refundable }: { refundable: Refundable }) {
  const t = useTranslations("deductions.refund");
  const { deductionId, charged, refunded, left, currency } = refundable;
  return (
    <KeyValues
      items={[
        { label: t("of"), value: <Identifier id={deductionId} what={t("of")} /> },
        { label: t("charged"), value: <Amount value={charged} currency={currency} wrap /> },
        { label: t("already"), value: <Amount value={refunded} currency={currency} wrap /> },
        { label: t("left"), value: <Amount value={left} currency={currency} wrap /> },
      ]}
    />
  );
}
