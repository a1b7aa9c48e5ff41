"use client";

// One letter: why it did not settle, its exact bytes, and what was done about it.
import type { DeadLetterListRow } from "@drawdown/db";
import { keepPreviousData, skipToken, useQuery } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { accountHref, operationHref, traceHref } from "@/console/navigation.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { RawEntry } from "@/console/raw-entry.tsx";
import type { RawField } from "@/server/raw-entry.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Button } from "@/ui/button.tsx";
import { CodeBlock } from "@/ui/code.tsx";
import { Sheet } from "@/ui/dialog.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";
import { EmptyState, SkeletonLines } from "@/ui/states.tsx";
import { LetterState } from "@/views/dead-letters/letter-columns.tsx";
import type { LetterMove } from "@/views/dead-letters/move-dialog.tsx";

export type LetterSheetProps = {
  /** Null: closed. */
  id: string | null;
  onClose: () => void;
  onReplay: (id: string) => void;
  onMove: (act: LetterMove["act"], id: string) => void;
};

type Letter = DeadLetterListRow & { base64: string; rawFields: RawField[] | null };

export function LetterSheet({ id, onClose, onReplay, onMove }: LetterSheetProps) {
  const t = useTranslations("deadLetters");
  const trpc = useTRPC();
  const one = useQuery({
    ...trpc.deadLetters.one.queryOptions(id === null ? skipToken : { id }),
    // What was shown stays while the sheet goes.
    ...(id === null ? { placeholderData: keepPreviousData } : {}),
  });
  const letter = one.data;
  return (
    <Sheet
      open={id !== null}
      onOpenChange={(open) => !open && onClose()}
      title={t("letter", { id: letter?.id ?? id ?? "" })}
      {...(letter ? { footer: <Acts letter={letter} onReplay={onReplay} onMove={onMove} /> } : {})}
    >
      {one.error !== null && <FaultNotice error={one.error} beside={letter !== undefined} />}
      {letter === undefined && one.error === null && <SkeletonLines lines={8} />}
      {letter === null && <EmptyState title={t("gone")} />}
      {letter && <Details letter={letter} />}
    </Sheet>
  );
}

function Acts({ letter, onReplay, onMove }: { letter: Letter } & Pick<LetterSheetProps, "onReplay" | "onMove">) {
  const t = useTranslations("deadLetters");
  const reason = useReasonAgainst("support");
  const { id, state } = letter;
  if (state === "replayed") return <p className="text-quiet">{t("inBooks")}</p>;
  if (state === "discarded")
    return (
      <Button look="primary" reason={reason} onClick={() => onMove("restore", id)}>
        {t("restore.verb")}
      </Button>
    );
  return (
    <>
      <Button reason={reason} onClick={() => onMove("discard", id)}>
        {t("discard.verb")}
      </Button>
      <Button look="primary" reason={reason} onClick={() => onReplay(id)}>
        {t("replay")}
      </Button>
    </>
  );
}

function Details({ letter }: { letter: Letter }) {
  const t = useTranslations("deadLetters");
  const { rawFields, base64, errorClass, errorMessage } = letter;
  return (
    <div className="grid gap-5">
      <Section title={t("section.error")}>
        <p>
          <code className="font-mono text-sm font-semibold">{errorClass}</code>
        </p>
        <CodeBlock what={t("column.error")} text={errorMessage} />
      </Section>
      <Facts letter={letter} />
      <Section title={t("section.raw")}>
        {rawFields === null ? (
          <CodeBlock what={t("section.raw")} text={base64} />
        ) : (
          <RawEntry fields={rawFields} base64={base64} />
        )}
      </Section>
      <History letter={letter} />
    </div>
  );
}

function Facts({ letter }: { letter: Letter }) {
  const t = useTranslations("deadLetters");
  const amount = (value: string | null) => (value === null ? t("unknown") : <Amount value={value} wrap />);
  const { deductionId, accountId } = letter;
  const place = `${letter.streamKey}/${letter.entryId}`;
  return (
    <KeyValues
      items={[
        { label: t("column.state"), value: <LetterState state={letter.state} t={t} /> },
        {
          label: t("column.deduction"),
          value: deductionId === null ? t("unknown") : <Identifier id={deductionId} href={traceHref(deductionId)} />,
        },
        {
          label: t("column.account"),
          value: accountId === null ? t("unknown") : <Identifier id={accountId} href={accountHref(accountId)} />,
        },
        { label: t("column.cost"), value: amount(letter.cost) },
        { label: t("balanceBefore"), value: amount(letter.balanceBefore) },
        { label: t("balanceAfter"), value: amount(letter.balanceAfter) },
        { label: t("seq"), value: letter.accountSeq ?? t("unknown") },
        {
          label: t("column.entry"),
          value: <Identifier id={place} href={traceHref(place)} />,
        },
        { label: t("column.attempts"), value: String(letter.attempts) },
        { label: t("column.at"), value: <Moment at={letter.createdAt} both /> },
        { label: t("lastAttempt"), value: <Moment at={letter.lastAttemptAt} both /> },
      ]}
    />
  );
}

function History({ letter: { history } }: { letter: Letter }) {
  const t = useTranslations("deadLetters");
  return (
    <Section title={t("section.history")}>
      {history.length === 0 ? (
        <p className="text-quiet">{t("noHistory")}</p>
      ) : (
        <ol className="grid gap-3">
          {history
            .toReversed()
            .map(({ at = "", act = "", actor = "", reason = "", operation_id: operation = "", ...more }) => (
              <li key={`${operation} ${at}`} className="border-s-2 border-line ps-3">
                <div className="flex flex-wrap items-baseline gap-x-2">
                  <span className="font-medium">{isAct(act) ? t(`act.${act}`) : act}</span>
                  {more["outcome"] && (
                    <Badge tone={more["outcome"] === "failed" ? "critical" : "ok"}>{more["outcome"]}</Badge>
                  )}
                  <bdi className="text-quiet wrap-anywhere">{actor}</bdi>
                  <Moment at={new Date(at)} className="text-xs text-faint tabular-nums" />
                </div>
                <p className="wrap-anywhere">
                  <bdi>{reason}</bdi>
                </p>
                {more["error_class"] && (
                  <p className="text-xs text-critical wrap-anywhere">
                    <bdi>{`${more["error_class"]}: ${more["error_message"] ?? ""}`}</bdi>
                  </p>
                )}
                <Identifier id={operation} href={operationHref(operation)} what={t("operation")} />
              </li>
            ))}
        </ol>
      )}
    </Section>
  );
}

function isAct(act: string): act is "replay" | "discard" | "restore" {
  return act === "replay" || act === "discard" || act === "restore";
}

function Section({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <section className="grid gap-2">
      <h3 className="text-sm font-semibold">{title}</h3>
      {children}
    </section>
  );
}
