"use client";

// Accepting a break that really happened: it moves no money, is shown for ever, and is no alarm any more.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslations } from "use-intl";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPC } from "@/trpc/client.ts";

type Props = {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  accountId: string;
  fromSeq: string;
  toSeq: string;
};

export function AcceptDialog({ open, onOpenChange, accountId, fromSeq, toSeq }: Props) {
  const t = useTranslations("accounts.accept");
  const trpc = useTRPC();
  const client = useQueryClient();
  const accept = useMutation(trpc.account.accept.mutationOptions());
  const command = useCommand({ act: "accept", accountId, fromSeq, toSeq });
  const outcome = (result: NonNullable<typeof accept.data>) => {
    switch (result.outcome) {
      case "accepted":
        return <p>{t("done", { count: result.breaks.length })}</p>;
      case "already":
        return <p>{t("already")}</p>;
      case "refused":
        return <p>{t(`refused.${result.why}`)}</p>;
    }
  };
  return (
    <ActDialog
      open={open}
      onOpenChange={onOpenChange}
      title={t("title", { from: fromSeq, to: toSeq, one: String(fromSeq === toSeq) })}
      description={t("description")}
      impact={{ kind: "one" }}
      verb={t("verb")}
      command={command}
      act={(why) => accept.mutateAsync({ accountId, fromSeq, toSeq, ...why })}
      outcome={outcome}
      onDone={() => void client.invalidateQueries(trpc.account.trail.queryFilter())}
    />
  );
}
