"use client";

// Why a deduction cost what it cost: tokens by kind, each times the price that held then, down to the one rounding.
import type { CostExplanation } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { Amount } from "@/ui/amount.tsx";
import { Moment } from "@/ui/moment.tsx";

type Explanation = NonNullable<CostExplanation["explanation"]>;

export function WhyCost({ why, currency }: { why: CostExplanation; currency: string }) {
  const t = useTranslations("deductions.why");
  const { explanation } = why;
  return (
    <section aria-label={t("title")} className="grid grid-cols-1 content-start gap-2">
      <h3 className="text-xs font-semibold">{t("title")}</h3>
      {why.outcome === "unexplained" && <p className="text-sm text-warning">{t(`unexplained.${why.why}`)}</p>}
      {explanation && <Lines explanation={explanation} why={why} currency={currency} />}
      {why.outcome === "explained" && why.counted && <p className="text-xs text-quiet">{t("counted")}</p>}
      {explanation && <Price explanation={explanation} />}
    </section>
  );
}

function Lines({ explanation, why, currency }: { explanation: Explanation; why: CostExplanation; currency: string }) {
  const t = useTranslations("deductions.why");
  return (
    <table aria-label={t("title")} className="w-full max-w-2xl text-xs tabular-nums">
      <thead className="text-quiet">
        <tr>
          <th scope="col" className="py-1 pr-2 text-left font-medium">
            {t("kind")}
          </th>
          <th scope="col" className="px-2 py-1 text-right font-medium">
            {t("quantity")}
          </th>
          <th scope="col" className="px-2 py-1 text-right font-medium max-sm:hidden">
            {t("price")}
          </th>
          <th scope="col" className="py-1 pl-2 text-right font-medium">
            {t("amount")}
          </th>
        </tr>
      </thead>
      <tbody>
        {explanation.lines.map(({ kind, quantity, price, amount }) => (
          <tr key={kind} className="border-t border-line">
            <th scope="row" className="py-1 pr-2 text-left font-normal">
              {t(`kinds.${kind}`)}
              <span className="block text-faint sm:hidden">
                × <Amount value={price} />
              </span>
            </th>
            <td className="px-2 py-1 text-right">{quantity}</td>
            <td className="px-2 py-1 text-right max-sm:hidden">
              × <Amount value={price} />
            </td>
            <td className="py-1 pl-2 text-right">
              <Amount value={amount} wrap />
            </td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        {why.outcome === "explained" && <Total label={t("sum")} value={why.sum} />}
        <Total label={t("cost")} value={why.cost} currency={currency} strong />
      </tfoot>
    </table>
  );
}

function Total(props: { label: string; value: string; currency?: string; strong?: boolean }) {
  return (
    <tr className={props.strong ? "border-t border-line-mid font-semibold" : "border-t border-line-mid text-quiet"}>
      <th scope="row" className={`py-1 pr-2 text-left ${props.strong ? "font-semibold" : "font-normal"}`}>
        {props.label}
      </th>
      <td colSpan={3} className="py-1 pl-2 text-right">
        <Amount value={props.value} currency={props.currency} wrap />
      </td>
    </tr>
  );
}

function Price({ explanation }: { explanation: Explanation }) {
  const t = useTranslations("deductions.why");
  const { provider, model, customer_type_id: customer, source, above_input_tokens: tier } = explanation;
  return (
    <p className="text-xs text-quiet wrap-anywhere">
      {t("by")} <bdi>{`${provider}/${model}`}</bdi> · {t(customer === null ? "listPrice" : "customerPrice")} ·{" "}
      {t("since")} <Moment at={new Date(explanation.valid_from)} />
      {tier === undefined ? null : ` · ${t("tier", { tokens: tier })}`} · {t("source")} <bdi>{source}</bdi> ·{" "}
      {t("priceId", { id: explanation.price_id })}
    </p>
  );
}
