"use client";

// One change of one operator: why, and what came of it.
import type { Operator, OperatorChange, ResetPasswordOutcome } from "@drawdown/billing";
import type { CommandAct } from "@drawdown/billing/command-line";
import type { OperatorRole } from "@drawdown/db";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { type Confirmation, impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPC, useTRPCClient } from "@/trpc/client.ts";
import { CodeBlock } from "@/ui/code.tsx";
import { RoleSelect } from "@/views/settings-operators/role-select.tsx";

export type Change = { what: "setRole" | "disable" | "enable" | "reset" | "signOut"; operator: Operator };

type Outcome = OperatorChange | ResetPasswordOutcome;

/** Open while there is a change. */
export function ChangeOperator({ change, onClose }: { change: Change | null; onClose: () => void }) {
  // What is asked stays while the dialog closes.
  const [shown, setShown] = useState(change);
  if (change !== null && change !== shown) setShown(change);
  if (shown === null) return null;
  return (
    <ChangeDialog key={`${shown.what} ${shown.operator.id}`} open={change !== null} change={shown} onClose={onClose} />
  );
}

function ChangeDialog({ open, change, onClose }: { open: boolean; change: Change; onClose: () => void }) {
  const { what, operator } = change;
  const { email } = operator;
  const t = useTranslations("operators");
  const trpc = useTRPC();
  const queries = useQueryClient();
  const [role, setRole] = useState(operator.role);
  const act = useAct(change, role);
  const command = useCommand(commandOf(change, role));
  return (
    <ActDialog<Outcome>
      open={open}
      onOpenChange={(next) => {
        if (!next) onClose();
      }}
      title={t(`${what}Title`, { email })}
      description={what === "disable" || what === "reset" ? t(`${what}Note`) : undefined}
      impact={impactOf(1)}
      verb={t(what)}
      danger={what === "disable"}
      {...(command ? { command } : {})}
      act={act}
      outcome={(result) => describeOutcome(result, t)}
      onDone={() => {
        void queries.invalidateQueries(trpc.operators.pathFilter());
      }}
    >
      {what === "setRole" && <RoleSelect value={role} onChange={setRole} />}
    </ActDialog>
  );
}

function useAct({ what, operator }: Change, role: OperatorRole): (confirmation: Confirmation) => Promise<Outcome> {
  const { operators } = useTRPCClient();
  return (confirmation) => {
    const whom = { operatorId: operator.id, ...confirmation };
    switch (what) {
      case "setRole":
        return operators.setRole.mutate({ role, ...whom });
      case "disable":
      case "enable":
        return operators.setEnabled.mutate({ enabled: what === "enable", ...whom });
      case "reset":
        return operators.resetPassword.mutate(whom);
      case "signOut":
        return operators.signOut.mutate(whom);
    }
  };
}

function commandOf({ what, operator: { email } }: Change, role: OperatorRole): CommandAct {
  switch (what) {
    case "setRole":
      return { act: "set_operator_role", email, role };
    case "disable":
      return { act: "disable_operator", email };
    case "enable":
      return { act: "enable_operator", email };
    case "reset":
      return { act: "reset_operator_password", email };
    case "signOut":
      return { act: "sign_out_operator", email };
  }
}

function describeOutcome(result: Outcome, t: ReturnType<typeof useTranslations<"operators">>) {
  switch (result.outcome) {
    case "changed":
      return <p>{t("changed", { email: result.operator.email })}</p>;
    case "repeated":
      return <p>{t("repeated")}</p>;
    case "last_admin":
      return <p>{t("lastAdmin")}</p>;
    case "unknown_operator":
      return <p>{t("unknown")}</p>;
    case "reset":
      return (
        <>
          <p>{t("resetDone", { email: result.operator.email })}</p>
          <CodeBlock text={result.password} what={t("password")} />
        </>
      );
  }
}
