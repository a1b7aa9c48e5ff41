"use client";

import Link from "next/link";
import { useRef } from "react";
import { useTranslations } from "use-intl";
import { PartComing } from "@/console/part.tsx";
import { Amount } from "@/ui/amount.tsx";
import { Button } from "@/ui/button.tsx";
import { Card } from "@/ui/card.tsx";
// The newest deductions as they come into the books.
import { excerpt } from "@/ui/excerpt.ts";
import { Identifier } from "@/ui/identifier.tsx";
import { LineIndicator } from "@/ui/line.tsx";
import { Moment } from "@/ui/moment.tsx";
import { EmptyState } from "@/ui/states.tsx";
import type { KeptBooks } from "@/views/overview/parts.ts";
import { useAttention, type useTail } from "@/views/overview/tail-rows.ts";

type Tail = ReturnType<typeof useTail>;

export function DeductionTail({ tail, books }: { tail: Tail; books: KeptBooks }) {
  const t = useTranslations("overview");
  const list = useRef<HTMLDivElement>(null);
  useAttention(list, tail.setPaused);
  const { shown, waiting, paused } = tail;
  return (
    <div ref={list} className="min-w-0">
      <Card
        title={t("tail.title")}
        note={t("tail.note")}
        actions={
          <>
            {paused && <LineIndicator state="paused" />}
            <Link className="link text-xs" href="/deductions" prefetch={false}>
              {t("tail.all")}
            </Link>
          </>
        }
        flush
      >
        <output className="contents">
          {waiting.length > 0 && (
            <span className="flex items-center gap-3 bg-accent-soft px-4 py-1.5 text-sm">
              {t("tail.newer", { count: waiting.length })}
              <Button size="small" onClick={tail.show}>
                {t("tail.show")}
              </Button>
            </span>
          )}
        </output>
        {shown.length > 0 ? (
          <ul aria-label={t("tail.title")}>
            {shown.map((row) => (
              <TailRow key={row.id} row={row} />
            ))}
          </ul>
        ) : books.value === undefined ? (
          <div className="p-4">
            <PartComing fault={books.fault} lines={6} />
          </div>
        ) : (
          <EmptyState title={t("tail.empty")}>{t("tail.emptyHelp")}</EmptyState>
        )}
      </Card>
    </div>
  );
}

function TailRow({ row }: { row: Tail["shown"][number] }) {
  const t = useTranslations("overview");
  const { deductionId, createdAt, accountId, ownerName, provider, model, cost, currency, balanceAfter } = row;
  return (
    <li className="grid gap-x-4 gap-y-0.5 border-b border-line px-4 py-2 last:border-b-0 sm:grid-cols-[1fr_auto]">
      <div className="flex min-w-0 flex-wrap items-center gap-x-3">
        <Identifier id={deductionId} href={`/trace/${encodeURIComponent(deductionId)}`} what={t("tail.deduction")} />
        <span className="text-xs text-faint">
          <Moment at={createdAt} />
        </span>
      </div>
      <div className="sm:text-end">
        <Amount value={cost} currency={currency} />
      </div>
      <div className="min-w-0 text-xs text-quiet wrap-anywhere">
        <Link className="link" href={`/accounts/${accountId}`} prefetch={false}>
          <bdi>{excerpt(ownerName ?? accountId)}</bdi>
        </Link>
        {" · "}
        <bdi>{`${provider}/${model}`}</bdi>
      </div>
      <div className="text-xs text-quiet sm:text-end">
        {t("tail.after")} {balanceAfter === null ? t("unknown") : <Amount value={balanceAfter} />}
      </div>
    </li>
  );
}
