"use client";

// A credit: an exact amount, its category, and a reference that makes it the same credit however often it is sent.
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { BalancePreview } from "@/console/balance-preview.tsx";
import { plus, readAmount } from "@/console/decimals.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Select } from "@/ui/select.tsx";
import { TextField } from "@/ui/text-field.tsx";
import type { ActOn } from "@/views/account/account-changed.ts";
import { useAccountChanged } from "@/views/account/account-changed.ts";

const CATEGORIES = ["top_up", "adjustment", "refund"] as const;
type Category = (typeof CATEGORIES)[number];

type Props = ActOn & { open: boolean; onOpenChange: (open: boolean) => void };
type Wrong = "amount" | "zero" | "negative" | undefined;

function wrongOf(text: string, category: Category): Wrong {
  const nanos = readAmount(text);
  if (nanos === undefined) return "amount";
  if (nanos === 0n) return "zero";
  return nanos < 0n && category !== "adjustment" ? "negative" : undefined;
}

export function CreditDialog({ open, onOpenChange, account, standing }: Props) {
  const t = useTranslations("accounts.credit");
  const trpc = useTRPC();
  const changed = useAccountChanged(account.id);
  const [category, setCategory] = useState<Category>("top_up");
  const [text, setText] = useState("");
  const [reference, setReference] = useState("");
  const credit = useMutation(trpc.account.credit.mutationOptions());
  const wrong = wrongOf(text, category);
  const { id: accountId, currency } = account;
  const amount = text.trim();
  const asked = { accountId, amount, category, ...(reference.trim() === "" ? {} : { reference: reference.trim() }) };
  const command = useCommand(wrong === undefined ? { act: "credit", ...asked } : undefined);
  const settled = standing?.settled.balance ?? account.balance;
  const realTime = standing?.realTime?.balance ?? null;
  const after = (before: string | null) => (before === null || wrong !== undefined ? null : plus(before, amount));
  const outcome = (result: NonNullable<typeof credit.data>) => {
    if (result.outcome === "refused") return <p>{t(`refused.${result.reason}`)}</p>;
    return (
      <p>
        {t(result.outcome)} <Amount value={result.amount} signed currency={currency} />
      </p>
    );
  };
  return (
    <ActDialog
      open={open}
      onOpenChange={onOpenChange}
      title={t("title")}
      description={t("description")}
      impact={{ kind: "one" }}
      verb={t("verb")}
      prepared={wrong === undefined}
      command={command}
      act={(why) => credit.mutateAsync({ ...asked, ...why })}
      outcome={outcome}
      onDone={(result) => {
        changed();
        if (result.outcome === "refused") return;
        setText("");
        setReference("");
      }}
    >
      <Form
        currency={currency}
        wrong={text === "" ? undefined : wrong}
        entered={{ text, category, reference }}
        onText={setText}
        onCategory={setCategory}
        onReference={setReference}
      />
      <BalancePreview
        currency={currency}
        unknown={t("unknown")}
        changes={[
          { label: t("settled"), before: settled, after: after(settled) },
          { label: t("realTime"), before: realTime, after: after(realTime) },
        ]}
      />
    </ActDialog>
  );
}

type FormProps = {
  currency: string;
  wrong: Wrong;
  entered: { text: string; category: Category; reference: string };
  onText: (text: string) => void;
  onCategory: (category: Category) => void;
  onReference: (reference: string) => void;
};

function Form({ currency, wrong, entered, onText, onCategory, onReference }: FormProps) {
  const t = useTranslations("accounts.credit");
  const { text, category, reference } = entered;
  return (
    <div className="grid grid-cols-1 gap-3 sm:grid-cols-2">
      <TextField
        label={t("amount", { currency })}
        value={text}
        onChange={onText}
        inputMode="decimal"
        autoComplete="off"
        placeholder="0.000000000"
        mono
        error={wrong === undefined ? undefined : t(`wrong.${wrong}`)}
      />
      <Select
        label={t("category")}
        value={category}
        onChange={onCategory}
        options={CATEGORIES.map((value) => ({ value, label: t(`categories.${value}`) }))}
      />
      <TextField
        className="sm:col-span-2"
        label={t("reference")}
        hint={t("referenceHint")}
        value={reference}
        onChange={onReference}
        maxLength={200}
        autoComplete="off"
        mono
      />
    </div>
  );
}
