import type { DeadLetterListRow } from "@drawdown/db";
import type { useTranslations } from "use-intl";
import { accountHref, traceHref } from "@/console/navigation.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";
import type { Tone } from "@/ui/tone.ts";

type Words = ReturnType<typeof useTranslations<"deadLetters">>;

const tones: Record<DeadLetterListRow["state"], Tone> = { open: "critical", discarded: "neutral", replayed: "ok" };

export function LetterState({ state, t }: { state: DeadLetterListRow["state"]; t: Words }) {
  return <Badge tone={tones[state]}>{t(`state.${state}`)}</Badge>;
}

export function letterColumns(t: Words, onShow: (id: string) => void): Column<DeadLetterListRow>[] {
  return [
    {
      id: "letter",
      title: t("column.letter"),
      cell: ({ id }) => (
        <button type="button" className="link font-mono" onClick={() => onShow(id)} aria-label={t("show", { id })}>
          {id}
        </button>
      ),
    },
    { id: "state", title: t("column.state"), cell: ({ state }) => <LetterState state={state} t={t} /> },
    {
      id: "at",
      title: t("column.at"),
      cell: ({ createdAt }) => <Moment at={createdAt} className="whitespace-nowrap" />,
    },
    {
      id: "error",
      title: t("column.error"),
      cell: ({ errorClass, errorMessage }) => (
        <div className="max-w-prose min-w-40">
          <code className="font-mono text-xs">{errorClass}</code>
          <bdi className="line-clamp-2 text-quiet wrap-anywhere" title={errorMessage.slice(0, 2_000)}>
            {errorMessage}
          </bdi>
        </div>
      ),
    },
    { id: "attempts", title: t("column.attempts"), align: "end", cell: ({ attempts }) => attempts },
    {
      id: "ids",
      title: t("column.ids"),
      cell: ({ deductionId, entryId, accountId }) => (
        <span className="grid min-w-0 justify-items-start xl:min-w-80">
          {deductionId === null ? (
            <Identifier id={entryId} href={traceHref(entryId)} what={t("column.entry")} />
          ) : (
            <Identifier id={deductionId} href={traceHref(deductionId)} what={t("column.deduction")} />
          )}
          {accountId === null ? (
            t("unknown")
          ) : (
            <Identifier id={accountId} href={accountHref(accountId)} what={t("column.account")} />
          )}
        </span>
      ),
    },
    {
      id: "cost",
      title: t("column.cost"),
      align: "end",
      cell: ({ cost }) => (cost === null ? t("unknown") : <Amount value={cost} />),
    },
  ];
}
