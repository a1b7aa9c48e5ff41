"use client";

// Cleanup as an act: what would go and what would stay and why, then the shard's name typed. The preview's cut-off goes back with it, so
// that nothing is removed that became old enough since.
import type { CleanupPreview } from "@drawdown/billing";
import { useMutation } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useTRPC, useTRPCClient } from "@/trpc/client.ts";
import { Button } from "@/ui/button.tsx";
import { Select } from "@/ui/select.tsx";
import { TextField } from "@/ui/text-field.tsx";
import { PreviewTable } from "@/views/streams/cleanup-preview.tsx";

const ALL = "all";
const DEFAULT_HOURS = "24";

type CleanupDialogProps = {
  /** The shard that it was asked for on; null: none yet. Null: closed. */
  cleaning: { shard: number | null } | null;
  shards: readonly number[];
  onClose: () => void;
};

export function CleanupDialog({ cleaning, shards, onClose }: CleanupDialogProps) {
  const t = useTranslations("streams");
  const client = useTRPCClient();
  const router = useRouter();
  const form = useCleanupForm(cleaning);
  const { preview, chosen, word } = form;
  const cutOffMs = preview.data?.cutOffMs;
  const asked = chosen === null ? {} : { shards: [chosen] };
  const command = useCommand(
    cutOffMs === undefined ? undefined : { act: "cleanup", ...asked, cutOff: new Date(cutOffMs) },
  );
  return (
    <ActDialog
      open={cleaning !== null}
      onOpenChange={(open) => !open && onClose()}
      title={t("cleanup.title")}
      description={t("cleanup.description")}
      impact={{ kind: "named", word }}
      verb={t("cleanup.verb")}
      danger
      prepared={preview.data !== undefined && removes(preview.data)}
      command={command}
      act={async (confirmation) => {
        if (cutOffMs === undefined) throw new Error("There is no preview.");
        return await client.streams.cleanup.mutate({
          ...confirmation,
          shards: chosen === null ? null : [chosen],
          cutOffMs,
        });
      }}
      outcome={() => null}
      onDone={({ operationId }) => router.push(`/operations/${operationId}`)}
    >
      <div className="flex flex-wrap items-end gap-3">
        <Select
          label={t("cleanup.shard")}
          value={form.shard}
          onChange={form.setShard}
          options={[
            { value: ALL, label: t("cleanup.all") },
            ...shards.map((shard) => ({ value: String(shard), label: t("cleanup.name", { shard }) })),
          ]}
        />
        <TextField
          label={t("cleanup.hours")}
          value={form.hours}
          onChange={form.setHours}
          inputMode="decimal"
          error={form.age === undefined ? t("cleanup.hoursError") : undefined}
        />
        <Button busy={preview.isPending} disabled={form.age === undefined} onClick={form.look}>
          {preview.data === undefined ? t("cleanup.preview") : t("cleanup.previewAgain")}
        </Button>
      </div>
      {preview.isError && <FaultNotice error={preview.error} beside />}
      {preview.data === undefined ? (
        <p className="text-quiet">{t("cleanup.first")}</p>
      ) : (
        <PreviewTable preview={preview.data} nothing={!removes(preview.data)} />
      )}
    </ActDialog>
  );
}

function removes({ trimmed, danglingCleared, consumersRemoved }: CleanupPreview): boolean {
  return trimmed > 0 || danglingCleared > 0 || consumersRemoved.length > 0;
}

/** What is asked for; changing it drops the preview, which was of something else. */
function useCleanupForm(cleaning: CleanupDialogProps["cleaning"]) {
  const t = useTranslations("streams");
  const trpc = useTRPC();
  const [shard, setShard] = useState<string>(ALL);
  const [hours, setHours] = useState(DEFAULT_HOURS);
  const preview = useMutation(trpc.streams.previewCleanup.mutationOptions());
  const [opened, setOpened] = useState<CleanupDialogProps["cleaning"]>(null);
  if (cleaning !== opened) {
    setOpened(cleaning);
    if (cleaning !== null) {
      setShard(cleaning.shard === null ? ALL : String(cleaning.shard));
      setHours(DEFAULT_HOURS);
      preview.reset();
    }
  }
  const chosen = shard === ALL ? null : Number(shard);
  const age = /^\d{1,5}([.,]\d{1,4})?$/.test(hours.trim()) ? Number(hours.trim().replace(",", ".")) : undefined;
  return {
    shard,
    hours,
    preview,
    chosen,
    age,
    /** What is typed to confirm. */
    word: chosen === null ? t("cleanup.allWord") : t("cleanup.name", { shard: chosen }),
    setShard: (value: string) => {
      setShard(value);
      preview.reset();
    },
    setHours: (value: string) => {
      setHours(value);
      preview.reset();
    },
    look: () => {
      if (age !== undefined) preview.mutate({ shards: chosen === null ? null : [chosen], maxAgeHours: age });
    },
  };
}
