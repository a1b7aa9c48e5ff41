"use client";

// Setting letters aside, and taking them back. What "all matching" means is settled when the dialog opens: those ids, and no others.
import type { LetterActResult } from "@drawdown/billing";
import Link from "next/link";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useActPreview } from "@/console/act-preview.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { operationHref } from "@/console/navigation.ts";
import type { ReplayChoice } from "@/server/replays-router.ts";
import { useTRPCClient } from "@/trpc/client.ts";
import { SkeletonLines } from "@/ui/states.tsx";

type Window = Omit<Extract<ReplayChoice, { kind: "dead_letters" }>, "kind">;

export type LetterMove = { act: "discard" | "restore" } & ({ ids: string[] } | Window);

type Props = {
  /** Null: closed. Another object for each opening. */
  move: LetterMove | null;
  onClose: () => void;
  onDone: () => void;
};

export function MoveDialog({ move, onClose, onDone }: Props) {
  const t = useTranslations("deadLetters");
  const acts = useTranslations("acts");
  const client = useTRPCClient();
  const { asked, preview: chosen } = useActPreview("deadLetters.choose", move, (wanted) =>
    "ids" in wanted ? wanted.ids : client.deadLetters.choose.mutate({ filters: wanted.filters, pin: wanted.pin }),
  );
  const act = asked?.act ?? "discard";
  const ids = chosen.data ?? [];
  const command = useCommand(ids.length === 0 ? undefined : { act, ids });
  return (
    <ActDialog
      open={move !== null}
      onOpenChange={(open) => !open && onClose()}
      title={t(`${act}.title`)}
      description={t(`${act}.description`)}
      impact={impactOf(ids.length)}
      verb={t(`${act}.verb`)}
      prepared={ids.length > 0}
      command={command}
      act={(confirmation) => client.deadLetters[act].mutate({ ids, ...confirmation })}
      outcome={outcomeOf[act]}
      onDone={onDone}
    >
      {chosen.error !== null && <FaultNotice error={chosen.error} />}
      {chosen.data === undefined && chosen.error === null && <SkeletonLines lines={1} />}
      {chosen.data !== undefined && <p className="text-sm font-medium">{acts("frozen", { count: ids.length })}</p>}
    </ActDialog>
  );
}

const outcomeOf = {
  discard: (result: LetterActResult) => <Moved act="discard" result={result} />,
  restore: (result: LetterActResult) => <Moved act="restore" result={result} />,
};

function Moved({ act, result }: { act: LetterMove["act"]; result: LetterActResult }) {
  const t = useTranslations("deadLetters");
  const acts = useTranslations("acts");
  const { operationId, changed, already, replayed, missing } = result;
  return (
    <div className="grid gap-2">
      <p>
        {t(`${act}.done`, { count: changed.length })}{" "}
        {already.length > 0 && t(`${act}.already`, { count: already.length })}{" "}
        {replayed.length > 0 && t("wereReplayed", { count: replayed.length })}{" "}
        {missing.length > 0 && t("wereMissing", { count: missing.length })}
      </p>
      {operationId !== null && (
        <Link className="link" href={operationHref(operationId)}>
          {acts("operation")}
        </Link>
      )}
    </div>
  );
}
