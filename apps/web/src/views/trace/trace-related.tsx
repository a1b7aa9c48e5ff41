"use client";

// Who had a hand in it, what is wrong about its account or stream, and why a request of this id was refused.
import Link from "next/link";
import { useTranslations } from "use-intl";
import { operationHref } from "@/console/navigation.ts";
import type { Traced } from "@/server/trace-router.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Card } from "@/ui/card.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";
import { useActionWord } from "@/views/operations/operation-words.tsx";

export function TraceRelated({ traced }: { traced: Traced }) {
  return (
    <>
      <Refusals refusals={traced.refusals} />
      <Operations operations={traced.operations} />
      <Alerts alerts={traced.alerts} />
    </>
  );
}

function Operations({ operations }: Pick<Traced, "operations">) {
  const t = useTranslations("trace");
  const word = useActionWord();
  if (operations.length === 0) return null;
  return (
    <Card title={t("operations")}>
      <ul className="grid gap-2">
        {operations.map(({ id, action, actor, reason, startedAt, finished }) => (
          <li key={id} className="grid gap-0.5">
            <span className="flex flex-wrap items-baseline gap-x-2">
              <Link className="link font-medium" href={operationHref(id)} prefetch={false}>
                {word(action)}
              </Link>
              {!finished && <Badge tone="accent">{t("underWay")}</Badge>}
              <bdi className="text-quiet wrap-anywhere">{actor}</bdi>
              <Moment at={startedAt} className="text-xs text-faint tabular-nums" />
            </span>
            <bdi className="line-clamp-3 text-sm text-quiet wrap-anywhere">{reason}</bdi>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Alerts({ alerts }: Pick<Traced, "alerts">) {
  const t = useTranslations("trace");
  if (alerts.length === 0) return null;
  return (
    <Card title={t("alerts")}>
      <ul className="grid gap-2">
        {alerts.map(({ id, level, kind, message, openedAt }) => (
          <li key={id} className="grid gap-0.5">
            <span className="flex flex-wrap items-baseline gap-x-2">
              <Badge tone={level === "critical" ? "critical" : "warning"}>{level}</Badge>
              <Link className="link" href={`/alerts?kind=${encodeURIComponent(kind)}`} prefetch={false}>
                {kind}
              </Link>
              <Moment at={openedAt} className="text-xs text-faint tabular-nums" />
            </span>
            <bdi className="text-sm text-quiet wrap-anywhere">{message}</bdi>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Refusals({ refusals }: Pick<Traced, "refusals">) {
  const t = useTranslations("trace");
  const amount = (value: string | null) => (value === null ? t("unknownAmount") : <Amount value={value} wrap />);
  return refusals.map((one) => (
    <Card key={one.id} title={t("refusal.title")} note={<Moment at={one.createdAt} both />}>
      <p className="mb-2">{t(`refusal.${one.code}`)}</p>
      <KeyValues
        items={[
          { label: t("refusal.required"), value: amount(one.required) },
          { label: t("refusal.balance"), value: amount(one.balance) },
          { label: t("refusal.held"), value: amount(one.held) },
          { label: t("refusal.creditLimit"), value: amount(one.creditLimit) },
          ...(one.spendLimit === null
            ? []
            : [
                { label: t("refusal.spendLimit"), value: amount(one.spendLimit), note: one.spendPeriod ?? undefined },
                { label: t("refusal.spent"), value: amount(one.spent) },
                { label: t("refusal.reserved"), value: amount(one.reserved) },
              ]),
          { label: t("refusal.model"), value: <bdi>{`${one.provider ?? "?"}/${one.model ?? "?"}`}</bdi> },
          { label: t("refusal.key"), value: <bdi>{one.virtualKey}</bdi> },
        ]}
      />
    </Card>
  ));
}
