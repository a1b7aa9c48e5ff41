"use client";

import type { RevokeKeyOutcome } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPCClient } from "@/trpc/client.ts";
import { KeyValues } from "@/ui/key-values.tsx";
import type { KeyDialogProps } from "@/views/settings-keys/update-key.tsx";

const words = { revoked: "revoked", repeated: "wasRevoked", unknown_key: "unknown" } as const;

export function RevokeKey({ apiKey, open, onOpenChange, onDone }: KeyDialogProps) {
  const t = useTranslations("keys");
  const { keys } = useTRPCClient();
  const { virtualKey, name, userName, userId } = apiKey;
  const command = useCommand({ act: "revoke_key", virtualKey });
  const outcome = (result: RevokeKeyOutcome) => <p>{t(words[result.outcome])}</p>;
  return (
    <ActDialog<RevokeKeyOutcome>
      open={open}
      onOpenChange={onOpenChange}
      title={t("revokeTitle", { key: virtualKey })}
      description={t("revokeNote")}
      impact={impactOf(1)}
      verb={t("revoke")}
      danger
      command={command}
      act={(why) => keys.revoke.mutate({ virtualKey, ...why })}
      outcome={outcome}
      onDone={onDone}
    >
      <KeyValues
        items={[
          ...(name === null ? [] : [{ label: t("field.name"), value: <bdi>{name}</bdi> }]),
          { label: t("column.owner"), value: <bdi>{userName ?? t("userLabel", { user: userId })}</bdi> },
        ]}
      />
    </ActDialog>
  );
}
