"use client";

// The trail's places by name: a moment, a seq, and what the balance was then.
import type { TrailLink } from "@drawdown/db";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import type { Order } from "@/console/list-address.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Button } from "@/ui/button.tsx";
import { Moment } from "@/ui/moment.tsx";
import { MomentField } from "@/ui/moment-field.tsx";
import { TextField } from "@/ui/text-field.tsx";

type Props = { accountId: string; currency: string; order: Order; onPlace: (cursor: string) => void };

export function TrailJump({ accountId, currency, order, onPlace }: Props) {
  const t = useTranslations("accounts.jump");
  const trpc = useTRPC();
  const client = useQueryClient();
  const [moment, setMoment] = useState<Date | null>(null);
  const go = useMutation({
    mutationFn: (at: { moment: Date } | { seq: string }) =>
      client.fetchQuery(trpc.account.trailPlace.queryOptions({ accountId, order, at })),
    onSuccess: onPlace,
  });
  const then = useMutation({
    mutationFn: async (at: Date) => ({
      at,
      link: await client.fetchQuery(trpc.account.balanceAt.queryOptions({ accountId, moment: at })),
    }),
  });
  const enter = (event: FormEvent) => {
    event.preventDefault();
    if (moment !== null) go.mutate({ moment });
  };
  return (
    <div className="grid grid-cols-1 gap-2">
      <div className="flex flex-wrap items-end gap-x-6 gap-y-2">
        <form className="flex min-w-0 flex-wrap items-end gap-2" onSubmit={enter}>
          <MomentField label={t("moment")} value={moment} onChange={setMoment} className="w-56" />
          <Button type="submit" disabled={moment === null} busy={go.isPending}>
            {t("show")}
          </Button>
          <Button disabled={moment === null} busy={then.isPending} onClick={() => moment && then.mutate(moment)}>
            {t("balanceThen")}
          </Button>
        </form>
        <SeqForm busy={go.isPending} onSeq={(seq) => go.mutate({ seq })} />
      </div>
      {(go.error ?? then.error) != null && <FaultNotice error={go.error ?? then.error} beside />}
      <output>{then.data && <Then {...then.data} currency={currency} />}</output>
    </div>
  );
}

function SeqForm({ busy, onSeq }: { busy: boolean; onSeq: (seq: string) => void }) {
  const t = useTranslations("accounts.jump");
  const [typed, setTyped] = useState("");
  const seq = typed.trim();
  const good = /^\d{1,18}$/.test(seq);
  const enter = (event: FormEvent) => {
    event.preventDefault();
    if (good) onSeq(seq);
  };
  return (
    <form className="flex min-w-0 flex-wrap items-end gap-2" onSubmit={enter}>
      <TextField
        label={t("seq")}
        value={typed}
        onChange={setTyped}
        inputMode="numeric"
        className="w-28"
        mono
        error={seq === "" || good ? undefined : t("wrongSeq")}
      />
      <Button type="submit" disabled={!good} busy={busy}>
        {t("showSeq")}
      </Button>
    </form>
  );
}

function Then({ at, link, currency }: { at: Date; link: TrailLink | null; currency: string }) {
  const t = useTranslations("accounts.jump");
  return (
    <p className="text-sm">
      {t("asOf")} <Moment at={at} />:{" "}
      {link === null ? (
        t("beforeFirst")
      ) : link.balanceAfter === null ? (
        t("unknown")
      ) : (
        <>
          <strong>
            <Amount value={link.balanceAfter} currency={currency} wrap />
          </strong>{" "}
          <span className="text-quiet">{t("byLink", { seq: link.seq })}</span>
        </>
      )}
    </p>
  );
}
