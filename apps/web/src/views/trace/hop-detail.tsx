import type { Hop } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { Amount } from "@/ui/amount.tsx";

/** What is drawn elsewhere, with the money. */
const DRAWN = new Set(["balance_before", "balance_after", "cost", "amount"]);

/** What is known of a hop, by the names that the books and the stream have for it. */
export function HopDetail({ hop }: { hop: Hop }) {
  const t = useTranslations("trace");
  const known = Object.entries(hop.detail).filter(
    ([name, value]) => value !== null && value !== undefined && !(hop.name === "Charge" && DRAWN.has(name)),
  );
  if (known.length === 0) return null;
  return (
    <dl className="mt-0.5 grid gap-x-4 text-xs sm:grid-cols-[repeat(auto-fill,minmax(14rem,1fr))]">
      {known.map(([name, value]) => (
        <div key={name} className="flex min-w-0 gap-1.5">
          <dt className="shrink-0 text-faint">{name}</dt>
          <dd className="min-w-0 font-mono wrap-anywhere">
            {name === "amount" && typeof value === "string" ? (
              <Amount value={value} signed={hop.name !== "Hold"} wrap />
            ) : (
              <bdi>{typeof value === "boolean" ? t(value ? "yes" : "no") : textOf(value)}</bdi>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
}
