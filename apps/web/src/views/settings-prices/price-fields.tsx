"use client";

import { Plus, X } from "lucide-react";
import { useTranslations } from "use-intl";
import { Button, IconButton } from "@/ui/button.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { MomentField } from "@/ui/moment-field.tsx";
import { Select } from "@/ui/select.tsx";
import { TextArea, TextField } from "@/ui/text-field.tsx";
import {
  type CustomerTypes,
  DETAIL_RATES,
  PRICE_MODELS,
  type PriceText,
  priceOf,
  type Rate,
  ratesOf,
  TIER_RATES,
  type TierText,
  type Unit,
  unitOf,
} from "@/views/settings-prices/price-text.ts";

type Part = { value: PriceText; onChange: (value: PriceText) => void };

/** A price as it is typed. */
export function PriceFields({ value, types, onChange }: Part & { types: CustomerTypes }) {
  const t = useTranslations("prices");
  const put =
    <Name extends keyof PriceText>(name: Name) =>
    (next: PriceText[Name]) =>
      onChange({ ...value, [name]: next });
  return (
    <div className="grid gap-4">
      <div className="grid gap-4 sm:grid-cols-2">
        <TextField
          label={t("field.provider")}
          value={value.provider}
          onChange={put("provider")}
          autoComplete="off"
          required
        />
        <TextField label={t("field.model")} value={value.model} onChange={put("model")} autoComplete="off" required />
        <Select
          label={t("column.for")}
          options={[{ value: "", label: t("everybody") }, ...types.map(({ id, name }) => ({ value: id, label: name }))]}
          value={value.customer}
          onChange={put("customer")}
        />
        <TextField label={t("filter.currency")} value={value.currency} onChange={put("currency")} maxLength={12} />
        <Select
          label={t("field.priceModel")}
          options={PRICE_MODELS.map((model) => ({ value: model, label: t(`priceModel.${model}`) }))}
          value={value.priceModel}
          onChange={put("priceModel")}
        />
        {value.priceModel !== "per_request" && (
          <Select
            label={t("field.unit")}
            options={(["million", "one"] as const).map((unit) => ({ value: unit, label: t(`unit.${unit}`) }))}
            value={value.unit}
            onChange={put("unit")}
          />
        )}
      </div>
      <RateFields value={value} onChange={onChange} />
      {value.priceModel === "per_input_output" && <TierFields value={value} onChange={onChange} />}
      {value.priceModel === "per_input_output" && (
        <Disclosure label={t("details")} startsOpen={Object.keys(value.details).length > 0}>
          <div className="grid gap-4 sm:grid-cols-2">
            {DETAIL_RATES.map((rate) => (
              <PriceField
                key={rate}
                label={t(`detail.${rate}`)}
                value={value.details[rate] ?? ""}
                unit={value.unit}
                onChange={(next) => onChange({ ...value, details: { ...value.details, [rate]: next } })}
              />
            ))}
          </div>
        </Disclosure>
      )}
      <Disclosure label={t("field.when")} startsOpen={value.hoursFrom !== ""}>
        <WhenFields value={value} onChange={onChange} />
      </Disclosure>
    </div>
  );
}

/** What may be left empty, each with what then holds. */
const LEFT = ["cachedInputPrice", "cacheWritePrice", "cacheWrite1hPrice", "requestPrice"] as const;

function isLeft(rate: Rate): rate is (typeof LEFT)[number] {
  return LEFT.some((left) => left === rate);
}

function RateFields({ value, onChange }: Part) {
  const t = useTranslations("prices");
  const { all, needed } = ratesOf[value.priceModel];
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      {all.map((rate) => (
        <PriceField
          key={rate}
          label={t(`rate.${rate}`)}
          value={value.rates[rate] ?? ""}
          unit={unitOf(rate, value.unit)}
          required={needed.includes(rate)}
          hint={isLeft(rate) && !needed.includes(rate) ? t(`absent.${rate}`) : undefined}
          onChange={(next) => onChange({ ...value, rates: { ...value.rates, [rate]: next } })}
        />
      ))}
    </div>
  );
}

function PriceField({
  label,
  value,
  unit,
  hint,
  required,
  onChange,
}: {
  label: string;
  value: string;
  unit: Unit;
  hint?: string | undefined;
  required?: boolean;
  onChange: (value: string) => void;
}) {
  const t = useTranslations("prices");
  const wrong = value.trim() !== "" && priceOf(value, unit) === undefined;
  return (
    <TextField
      label={label}
      value={value}
      onChange={onChange}
      hint={hint}
      error={wrong && t(`notPrice.${unit}`)}
      inputMode="decimal"
      autoComplete="off"
      required={required ?? false}
      mono
    />
  );
}

function TierFields({ value, onChange }: Part) {
  const t = useTranslations("prices");
  const change = (id: number, changes: Partial<TierText>) =>
    onChange({ ...value, tiers: value.tiers.map((tier) => (tier.id === id ? { ...tier, ...changes } : tier)) });
  const nextId = Math.max(-1, ...value.tiers.map(({ id }) => id)) + 1;
  return (
    <div className="grid gap-3">
      {value.tiers.map((tier, at) => (
        <fieldset key={tier.id} className="grid gap-3 rounded-md border border-line p-3">
          <legend className="px-1 text-xs font-medium">{t("tier", { number: at + 1 })}</legend>
          <div className="flex items-end gap-2">
            <TextField
              label={t("field.above")}
              value={tier.above}
              onChange={(above) => change(tier.id, { above })}
              inputMode="numeric"
              className="flex-1"
              required
              mono
            />
            <IconButton
              label={t("removeTier", { number: at + 1 })}
              icon={<X aria-hidden className="size-4" />}
              onClick={() => onChange({ ...value, tiers: value.tiers.filter(({ id }) => id !== tier.id) })}
            />
          </div>
          <div className="grid gap-3 sm:grid-cols-2">
            {TIER_RATES.map((rate) => (
              <PriceField
                key={rate}
                label={t(`detail.${rate}`)}
                value={tier[rate] ?? ""}
                unit={value.unit}
                onChange={(next) => change(tier.id, { [rate]: next })}
              />
            ))}
          </div>
        </fieldset>
      ))}
      <div>
        <Button
          size="small"
          icon={<Plus aria-hidden className="size-3.5" />}
          onClick={() => onChange({ ...value, tiers: [...value.tiers, { id: nextId, above: "" }] })}
        >
          {t("addTier")}
        </Button>
      </div>
    </div>
  );
}

function WhenFields({ value, onChange }: Part) {
  const t = useTranslations("prices");
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      <MomentField
        label={t("field.validFrom")}
        hint={t("field.validFromHint")}
        value={value.validFrom}
        onChange={(validFrom) => onChange({ ...value, validFrom })}
        className="sm:col-span-2"
      />
      <TextField
        label={t("field.hoursFrom")}
        type="time"
        step={1}
        value={value.hoursFrom}
        onChange={(hoursFrom) => onChange({ ...value, hoursFrom })}
      />
      <TextField
        label={t("field.hoursTo")}
        type="time"
        step={1}
        value={value.hoursTo}
        onChange={(hoursTo) => onChange({ ...value, hoursTo })}
        hint={t("field.hoursHint")}
      />
      <TextArea
        label={t("otherNames")}
        hint={t("field.namesHint")}
        value={value.names}
        onChange={(names) => onChange({ ...value, names })}
        rows={2}
        className="sm:col-span-2"
        mono
      />
    </div>
  );
}
