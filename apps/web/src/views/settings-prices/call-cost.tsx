"use client";

// What a call would cost now, looked up by the name that a caller would give and reckoned as its charge would be.
import type { CallCost } from "@drawdown/billing";
import { skipToken, useQuery } from "@tanstack/react-query";
import { type FormEvent, useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Button } from "@/ui/button.tsx";
import { type Column, DataTable } from "@/ui/data-table.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { Select } from "@/ui/select.tsx";
import { TextField } from "@/ui/text-field.tsx";
import { Cost } from "@/views/settings-prices/price-change.tsx";
import type { CustomerTypes } from "@/views/settings-prices/price-text.ts";

const COUNTS = ["input", "cached", "written", "output"] as const;
type Counts = Record<(typeof COUNTS)[number], string>;

const MAX_DIGITS = 12;

export function CallCostCard({ types }: { types: CustomerTypes }) {
  const t = useTranslations("prices");
  return (
    <div className="mb-4 min-w-0">
      <Disclosure label={t("cost.title")}>
        <CallCostForm types={types} />
      </Disclosure>
    </div>
  );
}

type AskedCall = { model: string; customerTypeId: string | null; currency: string; call: Record<keyof Counts, number> };

function CallCostForm({ types }: { types: CustomerTypes }) {
  const t = useTranslations("prices");
  const trpc = useTRPC();
  const [model, setModel] = useState("");
  const [customer, setCustomer] = useState("");
  const [currency, setCurrency] = useState("USD");
  const [counts, setCounts] = useState<Counts>({ input: "1000", cached: "0", written: "0", output: "500" });
  const [asked, setAsked] = useState<AskedCall>();
  const cost = useQuery(trpc.prices.cost.queryOptions(asked ?? skipToken));
  const wrong = (name: keyof Counts) => !/^\d+$/.test(counts[name].trim()) || counts[name].trim().length > MAX_DIGITS;
  const complete = model.trim() !== "" && !COUNTS.some(wrong);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!complete) return;
    const call = Object.fromEntries(COUNTS.map((name) => [name, Number(counts[name].trim())])) as AskedCall["call"];
    setAsked({ model: model.trim(), customerTypeId: customer || null, currency: currency.trim(), call });
  };
  return (
    <form onSubmit={submit} className="grid max-w-4xl gap-3 rounded-lg border border-line bg-surface p-4">
      <div className="grid gap-3 sm:grid-cols-3">
        <TextField
          label={t("cost.model")}
          hint={t("cost.modelHint")}
          value={model}
          onChange={setModel}
          autoComplete="off"
        />
        <Select
          label={t("column.for")}
          options={[{ value: "", label: t("everybody") }, ...types.map(({ id, name }) => ({ value: id, label: name }))]}
          value={customer}
          onChange={setCustomer}
        />
        <TextField label={t("filter.currency")} value={currency} onChange={setCurrency} maxLength={12} />
      </div>
      <div className="grid grid-cols-2 gap-3 sm:grid-cols-4">
        {COUNTS.map((name) => (
          <TextField
            key={name}
            label={t(`cost.${name}`)}
            value={counts[name]}
            onChange={(next) => setCounts({ ...counts, [name]: next })}
            error={wrong(name) && t("cost.notCount")}
            inputMode="numeric"
            autoComplete="off"
            mono
          />
        ))}
      </div>
      <div className="flex flex-wrap items-center gap-3">
        <Button type="submit" disabled={!complete} busy={cost.isFetching}>
          {t("cost.ask")}
        </Button>
        <output>{cost.data !== undefined && <Cost cost={cost.data} />}</output>
      </div>
      {cost.error && <FaultNotice error={cost.error} beside />}
      {cost.data && <Lines cost={cost.data} />}
    </form>
  );
}

function Lines({ cost: { explanation } }: { cost: CallCost }) {
  const t = useTranslations("prices.cost");
  const columns = useMemo(() => lineColumns(t), [t]);
  return (
    <DataTable
      label={t("lines")}
      rows={explanation.lines}
      rowId={({ kind }) => kind}
      rowName={({ kind }) => kind}
      columns={columns}
    />
  );
}

function lineColumns(
  t: ReturnType<typeof useTranslations<"prices.cost">>,
): Column<CallCost["explanation"]["lines"][number]>[] {
  return [
    { id: "kind", title: t("kind"), cell: ({ kind }) => t(`kinds.${kind}`) },
    { id: "quantity", title: t("quantity"), align: "end", cell: ({ quantity }) => quantity },
    { id: "price", title: t("price"), align: "end", cell: ({ price }) => <Amount value={price} /> },
    { id: "amount", title: t("amount"), align: "end", cell: ({ amount }) => <Amount value={amount} /> },
  ];
}
