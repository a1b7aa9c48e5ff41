"use client";

// Pausing, resuming and aborting an act that is under way. Each is an act of its own.
import type { Operation } from "@drawdown/billing";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useReasonAgainst } from "@/console/operator.tsx";
import { useTRPC, useTRPCClient } from "@/trpc/client.ts";
import { Button } from "@/ui/button.tsx";

type Wish = "pause" | "resume" | "abort";

export function OperationControls({ operation }: { operation: Operation }) {
  const t = useTranslations("operations");
  const [wish, setWish] = useState<Wish | null>(null);
  const reason = useReasonAgainst(operation.action === "replay" ? "support" : "admin");
  const { state, finishedAt, action } = operation;
  const bulk = action === "replay" || action === "cleanup";
  const going = bulk && finishedAt === null && state !== "aborting";
  const paused = state === "paused" || state === "pausing";
  return (
    <>
      {going && (
        <>
          <Button reason={reason} onClick={() => setWish(paused ? "resume" : "pause")}>
            {t(paused ? "control.resume.verb" : "control.pause.verb")}
          </Button>
          <Button look="danger" reason={reason} onClick={() => setWish("abort")}>
            {t("control.abort.verb")}
          </Button>
        </>
      )}
      <ControlDialog operation={operation} wish={wish} onClose={() => setWish(null)} />
    </>
  );
}

function ControlDialog({ operation, wish, onClose }: { operation: Operation; wish: Wish | null; onClose: () => void }) {
  const t = useTranslations("operations");
  const trpc = useTRPC();
  const client = useTRPCClient();
  const queries = useQueryClient();
  // What was asked for stays while the dialog goes.
  const [last, setLast] = useState<Wish>("pause");
  if (wish !== null && wish !== last) setLast(wish);
  const { id } = operation;
  const command = useCommand({ act: last, operationId: id });
  return (
    <ActDialog
      open={wish !== null}
      onOpenChange={(open) => !open && onClose()}
      title={t(`control.${last}.title`)}
      description={t(`control.${last}.description`)}
      impact={{ kind: "one" }}
      verb={t(`control.${last}.verb`)}
      danger={last === "abort"}
      command={command}
      act={(confirmation) => client.operations.control.mutate({ id, wish: last, ...confirmation })}
      outcome={() => null}
      onDone={() => void queries.invalidateQueries({ queryKey: trpc.operations.one.queryKey({ id }) })}
    />
  );
}
