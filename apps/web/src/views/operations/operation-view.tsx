"use client";

// One act: who, why, to what; what it came to, while it runs and after; and what can be done about it.
import type { Operation } from "@drawdown/billing";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { type ReactNode, useState } from "react";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { accountHref, operationHref, traceHref } from "@/console/navigation.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { PageTitle } from "@/console/page-title.tsx";
import { ReplayDialog } from "@/console/replay-dialog.tsx";
import type { ReplayChoice } from "@/server/replays-router.ts";
import { useTRPC } from "@/trpc/client.ts";
import { useLive } from "@/trpc/live.ts";
import { Button } from "@/ui/button.tsx";
import { Card } from "@/ui/card.tsx";
import { CodeBlock, JsonBlock } from "@/ui/code.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { LineIndicator } from "@/ui/line.tsx";
import { Duration, Moment } from "@/ui/moment.tsx";
import { EmptyState, SkeletonLines } from "@/ui/states.tsx";
import { OperationControls } from "@/views/operations/operation-controls.tsx";
import { OperationItems } from "@/views/operations/operation-items.tsx";
import { OperationProgress } from "@/views/operations/operation-progress.tsx";
import { OperationState, useActionWord } from "@/views/operations/operation-words.tsx";

export function OperationView({ id }: { id: string }) {
  const t = useTranslations("operations");
  const trpc = useTRPC();
  const word = useActionWord();
  const one = useQuery({ ...trpc.operations.one.queryOptions({ id }), staleTime: Number.POSITIVE_INFINITY });
  const running = one.data != null && one.data.operation.finishedAt === null;
  const { refetch } = one;
  // The last word is read, not overheard: with it the line ends, and what came last on it is gone.
  const onData = ({ finishedAt }: Operation) => {
    if (finishedAt !== null) void refetch();
  };
  const live = useLive(trpc.operations.live.subscriptionOptions({ id }, { enabled: running, onData }));
  const operation = running ? (live.last ?? one.data?.operation) : one.data?.operation;
  return (
    <>
      <PageTitle
        above={
          <Link className="link" href="/operations">
            {t("title")}
          </Link>
        }
        note={
          operation && (
            <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
              <OperationState {...operation} />
              {running && <LineIndicator state={live.line} />}
            </span>
          )
        }
        actions={operation && <OperationControls operation={operation} />}
      >
        {operation === undefined ? t("one") : word(operation.action)}
      </PageTitle>
      {one.error !== null && <FaultNotice error={one.error} beside={operation !== undefined} />}
      {one.data === undefined && one.error === null && <SkeletonLines lines={6} />}
      {one.data === null && <EmptyState title={t("unknown")}>{t("unknownHelp")}</EmptyState>}
      {operation && one.data && <Details operation={operation} more={one.data} />}
    </>
  );
}

type More = {
  targets: { names: string[]; total: number };
  command: Parameters<typeof useCommand>[0] | null;
};

function Details({ operation, more }: { operation: Operation; more: More }) {
  const t = useTranslations("operations");
  const command = useCommand(more.command ?? undefined);
  const { counts, before, after, result, reason } = operation;
  const bulk =
    counts !== null && (operation.action === "replay" || operation.action === "cleanup" || counts.targets > 1);
  return (
    <div className="grid gap-4">
      <Card>
        <Facts operation={operation} />
      </Card>
      {counts !== null && bulk && (
        <Card title={t("progress")} actions={<ReplayFailed operation={operation} />}>
          <OperationProgress state={operation.state} counts={counts} />
        </Card>
      )}
      {bulk ? (
        <Card title={t("items")}>
          <OperationItems id={operation.id} over={operation.finishedAt !== null} />
        </Card>
      ) : (
        <Targets action={operation.action} {...more.targets} />
      )}
      {(before !== null || after !== null) && (
        <div className="grid gap-4 lg:grid-cols-2">
          <Card title={t("before")}>
            <JsonBlock what={t("before")} value={before} />
          </Card>
          <Card title={t("after")}>
            <JsonBlock what={t("after")} value={after} />
          </Card>
        </div>
      )}
      <Card>
        <div className="grid gap-3">
          {command !== undefined && (
            <Disclosure label={t("command")}>
              <CodeBlock what={t("command")} text={command(reason)} />
            </Disclosure>
          )}
          <Disclosure label={t("result")}>
            <JsonBlock what={t("result")} value={result} />
          </Disclosure>
          <Disclosure label={t("raw")}>
            <JsonBlock what={t("raw")} value={{ ...operation, targets: more.targets.names }} />
          </Disclosure>
        </div>
      </Card>
    </div>
  );
}

function Facts({ operation }: { operation: Operation }) {
  const t = useTranslations("operations");
  const { id, actor, role, reason, startedAt, finishedAt } = operation;
  return (
    <KeyValues
      columns={2}
      items={[
        { label: t("column.reason"), value: <bdi className="whitespace-pre-wrap">{reason}</bdi> },
        { label: t("column.actor"), value: <bdi>{actor}</bdi>, note: role },
        { label: t("column.at"), value: <Moment at={startedAt} both precision="milliseconds" /> },
        {
          label: t("finishedAt"),
          value: finishedAt === null ? t("notYet") : <Moment at={finishedAt} both precision="milliseconds" />,
        },
        { label: t("took"), value: <Duration from={startedAt} {...(finishedAt === null ? {} : { to: finishedAt })} /> },
        { label: t("id"), value: <Identifier id={id} what={t("id")} /> },
      ]}
    />
  );
}

function ReplayFailed({ operation: { id, action, counts, finishedAt } }: { operation: Operation }) {
  const t = useTranslations("operations");
  const reason = useReasonAgainst("support");
  const [choice, setChoice] = useState<ReplayChoice | null>(null);
  const unsettled = (counts?.failed ?? 0) + (counts?.left ?? 0);
  if (action !== "replay" || finishedAt === null || unsettled === 0) return null;
  return (
    <>
      <Button
        look="primary"
        size="small"
        reason={reason}
        onClick={() => setChoice({ kind: "failed", operationId: id })}
      >
        {t("replayFailed", { count: unsettled })}
      </Button>
      <ReplayDialog choice={choice} onClose={() => setChoice(null)} />
    </>
  );
}

/** Of an act without items: what it was about. */
function Targets({ action, names, total }: { action: string; names: string[]; total: number }) {
  const t = useTranslations("operations");
  if (total === 0) return null;
  return (
    <Card title={t("targets", { count: total })}>
      <ul className="grid max-h-80 gap-1 overflow-y-auto">
        {names.map((name) => (
          <li key={name}>
            <TargetName action={action} name={name} />
          </li>
        ))}
      </ul>
      {total > names.length && (
        <p className="mt-2 text-xs text-faint">{t("moreTargets", { count: total - names.length })}</p>
      )}
    </Card>
  );
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** An act's target by its name: where it can be looked at. */
function TargetName({ action, name }: { action: string; name: string }): ReactNode {
  const href = () => {
    if (action === "pause" || action === "resume" || action === "abort") return operationHref(name);
    if (uuid.test(name)) return accountHref(name);
    if (action === "refund") return traceHref(name);
    return undefined;
  };
  return <Identifier id={name} href={href()} />;
}
