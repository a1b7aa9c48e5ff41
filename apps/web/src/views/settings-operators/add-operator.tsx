"use client";

import type { CreateOperatorOutcome } from "@drawdown/billing";
import type { OperatorRole } from "@drawdown/db";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPC, useTRPCClient } from "@/trpc/client.ts";
import { CodeBlock } from "@/ui/code.tsx";
import { TextField } from "@/ui/text-field.tsx";
import { RoleSelect } from "@/views/settings-operators/role-select.tsx";

export function AddOperator({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const t = useTranslations("operators");
  const trpc = useTRPC();
  const { operators } = useTRPCClient();
  const queries = useQueryClient();
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<OperatorRole>("viewer");
  const named = name.trim() === "" ? {} : { name: name.trim() };
  const command = useCommand({ act: "create_operator", email: email.trim(), role, ...named });
  return (
    <ActDialog
      open={open}
      onOpenChange={(next) => {
        if (!next) for (const clear of [setEmail, setName]) clear("");
        onOpenChange(next);
      }}
      title={t("add")}
      impact={impactOf(1)}
      verb={t("addVerb")}
      prepared={email.trim().includes("@")}
      {...(command ? { command } : {})}
      act={(confirmation) => operators.create.mutate({ email, role, ...named, ...confirmation })}
      outcome={(result) => describeOutcome(result, t)}
      onDone={() => {
        void queries.invalidateQueries(trpc.operators.pathFilter());
      }}
    >
      <TextField label={t("email")} type="email" value={email} onChange={setEmail} autoComplete="off" required />
      <TextField label={t("name")} value={name} onChange={setName} autoComplete="off" maxLength={128} />
      <RoleSelect value={role} onChange={setRole} />
    </ActDialog>
  );
}

function describeOutcome(result: CreateOperatorOutcome, t: ReturnType<typeof useTranslations<"operators">>) {
  if (result.outcome === "exists") return <p>{t("exists")}</p>;
  return (
    <>
      <p>{t("addDone", { email: result.operator.email })}</p>
      <CodeBlock text={result.password ?? ""} what={t("password")} />
    </>
  );
}
