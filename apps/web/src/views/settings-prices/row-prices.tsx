"use client";

// The prices of a row, to the last digit: of a million tokens as people compare them, and of a token as calls are reckoned.
import type { PriceListRow } from "@drawdown/db";
import { useTranslations } from "use-intl";
import { Amount } from "@/ui/amount.tsx";
import { JsonBlock } from "@/ui/code.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { DETAIL_RATES, perMillion, RATES, TIER_RATES } from "@/views/settings-prices/price-text.ts";

export function RowPrices({ row }: { row: PriceListRow }) {
  const t = useTranslations("prices");
  const rates = RATES.flatMap((rate) => {
    const price = row[rate];
    return price === null ? [] : [{ name: t(`rate.${rate}`), price, request: rate === "requestPrice" }];
  });
  const { currency, tiers, detailPrices, match } = row;
  const more = (tiers?.length ?? 0) > 0 || detailPrices !== null || match !== null;
  return (
    <div className="grid min-w-0 gap-1">
      <ul className="grid gap-0.5">
        {rates.map(({ name, price, request }) => (
          <PriceLine key={name} name={name} price={price} currency={currency} request={request} />
        ))}
      </ul>
      {more && (
        <Disclosure label={<MoreLabel row={row} />}>
          <MorePrices row={row} />
        </Disclosure>
      )}
    </div>
  );
}

function PriceLine({
  name,
  price,
  currency,
  request = false,
}: {
  name: string;
  price: string;
  currency: string;
  request?: boolean;
}) {
  const t = useTranslations("prices");
  return (
    <li className="flex flex-wrap items-baseline gap-x-2 xl:flex-nowrap">
      <span className="w-24 shrink-0 text-xs text-quiet">{name}</span>
      {request ? (
        <Amount value={price} currency={`${currency} ${t("aCall")}`} />
      ) : (
        <>
          <span className="sm:min-w-52">
            <Amount value={perMillion(price)} currency={`${currency} ${t("aMillion")}`} />
          </span>
          <span className="text-xs whitespace-nowrap text-faint">
            <Amount value={price} /> {t("aToken")}
          </span>
        </>
      )}
    </li>
  );
}

function MoreLabel({ row: { tiers, detailPrices, match } }: { row: PriceListRow }) {
  const t = useTranslations("prices");
  const parts = [
    tiers && tiers.length > 0 ? t("tierCount", { count: tiers.length }) : undefined,
    detailPrices === null ? undefined : t("details"),
    match === null ? undefined : t("otherNames"),
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}

function MorePrices({ row: { tiers, detailPrices, match, currency } }: { row: PriceListRow }) {
  const t = useTranslations("prices");
  return (
    <div className="grid gap-2">
      {(tiers ?? []).map((tier) => (
        <section key={tier.above_input_tokens} aria-label={t("above", { count: tier.above_input_tokens })}>
          <p className="text-xs font-medium">{t("above", { count: tier.above_input_tokens })}</p>
          <ul className="grid gap-0.5">
            {TIER_RATES.map((rate) => {
              const price = tier[rate];
              return price === undefined ? null : (
                <PriceLine key={rate} name={t(`detail.${rate}`)} price={padded(price)} currency={currency} />
              );
            })}
          </ul>
        </section>
      ))}
      {detailPrices !== null && (
        <ul className="grid gap-0.5">
          {DETAIL_RATES.map((rate) => {
            const price = detailPrices[rate];
            return price === undefined ? null : (
              <PriceLine key={rate} name={t(`detail.${rate}`)} price={padded(price)} currency={currency} />
            );
          })}
        </ul>
      )}
      {match !== null && (
        <div className="max-w-xl">
          <p className="text-xs font-medium">{t("otherNames")}</p>
          <JsonBlock what={t("otherNames")} value={match} />
        </div>
      )}
    </div>
  );
}

const DECIMALS = 12;

/** As the columns write it: 12 decimals. */
function padded(price: string): string {
  const [whole = "0", fraction = ""] = price.split(".");
  return `${whole}.${fraction.padEnd(DECIMALS, "0")}`;
}
