"use client";

import type { UpdateKeyOutcome } from "@drawdown/billing";
import type { KeyListRow } from "@drawdown/db";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPCClient } from "@/trpc/client.ts";
import { KeyFields } from "@/views/settings-keys/key-fields.tsx";
import { changesOf, problemsOf, textOf } from "@/views/settings-keys/key-form.ts";

export type KeyDialogProps = {
  apiKey: KeyListRow;
  open: boolean;
  onOpenChange: (open: boolean) => void;
  onDone: () => void;
};

export function UpdateKey({ apiKey, open, onOpenChange, onDone }: KeyDialogProps) {
  const t = useTranslations("keys");
  const { keys } = useTRPCClient();
  const { virtualKey } = apiKey;
  const before = textOf(apiKey);
  const [text, setText] = useState(before);
  const changes = changesOf(before, text);
  const problems = problemsOf(text);
  // A date that has passed stays where it is not touched.
  if (changes.expiresAt === undefined) delete problems.expiresAt;
  const some = Object.keys(changes).length > 0;
  const complete = some && Object.keys(problems).length === 0;
  const command = useCommand(complete ? { act: "update_key", virtualKey, ...changes } : undefined);
  const outcome = (result: UpdateKeyOutcome) =>
    result.outcome === "revoked" || result.outcome === "unknown_key" ? null : <p>{t(result.outcome)}</p>;
  return (
    <ActDialog<UpdateKeyOutcome>
      open={open}
      onOpenChange={(next) => {
        if (!next) setText(before);
        onOpenChange(next);
      }}
      title={t("updateTitle", { key: virtualKey })}
      description={t("updateNote")}
      impact={impactOf(1)}
      verb={t("updateVerb")}
      prepared={complete}
      command={command}
      act={(why) => keys.update.mutate({ virtualKey, changes, ...why })}
      refused={(result) =>
        result.outcome === "revoked" ? t("isRevoked") : result.outcome === "unknown_key" ? t("unknown") : undefined
      }
      outcome={outcome}
      onDone={onDone}
    >
      <KeyFields value={text} problems={problems} onChange={setText} />
      {!some && <p className="text-sm text-quiet">{t("nothing")}</p>}
    </ActDialog>
  );
}
