import type { Operation } from "@drawdown/billing";
import { useCallback } from "react";
import { useTranslations } from "use-intl";
import { Badge } from "@/ui/badge.tsx";
import type { Tone } from "@/ui/tone.ts";

const ACTIONS = [
  "replay",
  "discard",
  "restore",
  "cleanup",
  "credit",
  "refund",
  "freeze",
  "unfreeze",
  "credit_limit",
  "create_key",
  "update_key",
  "revoke_key",
  "set_price",
  "remove_price",
  "set_provider",
  "remove_provider",
  "accept",
  "repair",
  "retention",
  "pause",
  "resume",
  "abort",
  "create_operator",
  "set_operator_role",
  "enable_operator",
  "disable_operator",
  "reset_operator_password",
  "sign_out_operator",
  "sign_out_others",
  "change_own_password",
] as const;

type Action = (typeof ACTIONS)[number];

export const actions: readonly Action[] = ACTIONS;

/** An act's name in words; one that is not known here by the name it has on record. */
export function useActionWord(): (action: string) => string {
  const t = useTranslations("operations.action");
  return useCallback(
    (action) => {
      const known = ACTIONS.find((one) => one === action);
      return known === undefined ? action : t(known);
    },
    [t],
  );
}

const tones: Record<Operation["state"], Tone> = {
  waiting: "warning",
  running: "accent",
  pausing: "warning",
  paused: "warning",
  aborting: "warning",
  aborted: "critical",
  done: "ok",
};

/** Over, but with failures, is not simply done. */
export function OperationState({ state, counts }: Pick<Operation, "state" | "counts">) {
  const t = useTranslations("operations");
  const failed = counts?.failed ?? 0;
  if (state === "done" && failed > 0) return <Badge tone="critical">{t("doneWithFailures", { count: failed })}</Badge>;
  return <Badge tone={tones[state]}>{t(`state.${state}`)}</Badge>;
}
