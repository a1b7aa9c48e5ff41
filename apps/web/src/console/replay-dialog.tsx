"use client";

// Settling again, wherever it is asked for: the dry run by classes, then exactly the targets that it named. It goes to the operation's page.
import type { PlannedTarget, TargetClass } from "@drawdown/billing";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useActPreview } from "@/console/act-preview.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { traceHref } from "@/console/navigation.ts";
import type { ReplayChoice } from "@/server/replays-router.ts";
import { useTRPCClient } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { SkeletonLines } from "@/ui/states.tsx";
import type { Tone } from "@/ui/tone.ts";

export type ReplayDialogProps = {
  /** What to replay; null: closed. The same object while it is open, another one for each opening. */
  choice: ReplayChoice | null;
  onClose: () => void;
  /** What the act is called where it is asked for. */
  verb?: "replay" | "reprocess";
};

type Plan = {
  names: string[];
  classes: Record<TargetClass, number>;
  missing: string[];
  shown: Partial<Record<TargetClass, PlannedTarget[]>>;
};

const CLASSES = [
  "eligible",
  "already_applied",
  "held_by_live_consumer",
  "unparseable",
  "account_gone",
] as const satisfies readonly TargetClass[];

const tones: Record<TargetClass, Tone> = {
  eligible: "ok",
  already_applied: "neutral",
  held_by_live_consumer: "warning",
  unparseable: "critical",
  account_gone: "critical",
};

export function ReplayDialog({ choice, onClose, verb = "replay" }: ReplayDialogProps) {
  const t = useTranslations("replays");
  const client = useTRPCClient();
  const router = useRouter();
  const { preview } = useActPreview(
    "replays.preview",
    choice,
    (asked): Promise<Plan> => client.replays.preview.mutate(asked),
  );
  const plan = preview.data;
  const names = plan?.names ?? [];
  const command = useCommand(
    names.length === 0 ? undefined : { act: "replay", selection: { kind: "named", ids: names } },
  );
  return (
    <ActDialog
      open={choice !== null}
      onOpenChange={(open) => !open && onClose()}
      title={t(`${verb}.title`)}
      description={t(`${verb}.description`)}
      impact={impactOf(names.length)}
      verb={t(`${verb}.verb`)}
      prepared={names.length > 0}
      command={command}
      act={(confirmation) => client.replays.start.mutate({ ...confirmation, names })}
      outcome={({ operationId }) => (operationId === null ? t("gone") : null)}
      onDone={({ operationId }) => {
        if (operationId !== null) router.push(`/operations/${operationId}`);
      }}
    >
      {preview.error !== null && <FaultNotice error={preview.error} />}
      {plan === undefined ? preview.error === null && <SkeletonLines lines={4} /> : <Preview plan={plan} />}
    </ActDialog>
  );
}

function Preview({ plan }: { plan: Plan }) {
  const t = useTranslations("replays");
  const acts = useTranslations("acts");
  const { names, classes, missing, shown } = plan;
  if (names.length === 0) return <p className="text-quiet">{t("nothing")}</p>;
  return (
    <div className="grid gap-3">
      <ul aria-label={t("dryRun")} className="grid gap-2">
        {CLASSES.filter((name) => classes[name] > 0).map((name) => (
          <li key={name} className="rounded-md border border-line px-3 py-2">
            <div className="flex flex-wrap items-baseline gap-x-2">
              <Badge tone={tones[name]}>{t("class", { count: classes[name], name: t(`classes.${name}`) })}</Badge>
              <span className="text-xs text-quiet">{t(`meaning.${name}`)}</span>
            </div>
            <Disclosure label={t("show")} startsOpen={names.length <= 3}>
              <Targets targets={shown[name] ?? []} total={classes[name]} />
            </Disclosure>
          </li>
        ))}
      </ul>
      {missing.length > 0 && (
        <p className="text-warning wrap-anywhere">
          {t("missing", { count: missing.length })}{" "}
          <bdi className="font-mono text-xs">{missing.slice(0, 5).join(", ")}</bdi>
        </p>
      )}
      {classes.eligible === 0 && <p className="text-quiet">{t("noneEligible")}</p>}
      <p className="text-sm font-medium">{acts("frozen", { count: names.length })}</p>
    </div>
  );
}

function Targets({ targets, total }: { targets: readonly PlannedTarget[]; total: number }) {
  const t = useTranslations("replays");
  return (
    <div className="max-h-60 overflow-y-auto">
      <ul className="grid gap-1.5">
        {targets.map(({ name, target, note }) => (
          <li key={name} className="flex flex-wrap items-baseline gap-x-3 text-xs">
            <Link
              className="link font-mono break-all"
              href={traceHref(target.deduction_id ?? target.entry_id)}
              prefetch={false}
            >
              <bdi>{target.dead_letter_id === undefined ? name : t("letter", { id: target.dead_letter_id })}</bdi>
            </Link>
            {target.deduction_id !== undefined && (
              <bdi className="font-mono break-all text-quiet">{target.deduction_id}</bdi>
            )}
            {target.cost !== undefined && <Amount value={target.cost} />}
            {note !== undefined && <bdi className="text-quiet wrap-anywhere">{note}</bdi>}
          </li>
        ))}
      </ul>
      {total > targets.length && (
        <p className="mt-1 text-xs text-faint">{t("more", { count: total - targets.length })}</p>
      )}
    </div>
  );
}
