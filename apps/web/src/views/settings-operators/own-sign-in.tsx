"use client";

// One's own sign-in: where one is signed in, and the password.
import type { OperatorSession } from "@drawdown/billing";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { newActId } from "@/console/act.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useOperator } from "@/console/operator.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Badge } from "@/ui/badge.tsx";
import { Button } from "@/ui/button.tsx";
import { Card } from "@/ui/card.tsx";
import { type Column, DataTable } from "@/ui/data-table.tsx";
import { Moment } from "@/ui/moment.tsx";
import { SkeletonLines } from "@/ui/states.tsx";
import { TextField } from "@/ui/text-field.tsx";
import { showToast } from "@/ui/toast.tsx";

export function OwnSignIn() {
  const t = useTranslations("operators.own");
  return (
    <section aria-label={t("title")} className="grid min-w-0 gap-6 xl:grid-cols-[2fr_1fr]">
      <OwnSessions />
      <OwnPassword />
    </section>
  );
}

function OwnSessions() {
  const t = useTranslations("operators.own");
  const trpc = useTRPC();
  const queries = useQueryClient();
  const me = useQuery(trpc.operators.me.queryOptions());
  const sessions = useQuery(trpc.operators.mySessions.queryOptions());
  const others = useMutation(
    trpc.operators.signOutOthers.mutationOptions({
      onSuccess: async () => {
        showToast({ title: t("signedOutOthers") });
        await queries.invalidateQueries(trpc.operators.pathFilter());
      },
    }),
  );
  const mine = me.data?.sessionId;
  const columns = useMemo(() => sessionColumns(t, mine), [t, mine]);
  return (
    <Card
      title={t("sessions")}
      flush
      actions={
        <Button
          size="small"
          busy={others.isPending}
          disabled={(sessions.data?.length ?? 0) < 2}
          onClick={() => others.mutate({ actId: newActId() })}
        >
          {t("signOutOthers")}
        </Button>
      }
    >
      {others.isError && <FaultNotice error={others.error} beside />}
      {sessions.isError && <FaultNotice error={sessions.error} beside={sessions.data !== undefined} />}
      {sessions.isLoading && <SkeletonLines />}
      {sessions.data && (
        <DataTable
          label={t("sessions")}
          columns={columns}
          rows={sessions.data}
          rowId={({ id }) => id}
          rowName={({ userAgent }) => userAgent ?? ""}
        />
      )}
    </Card>
  );
}

function sessionColumns(
  t: ReturnType<typeof useTranslations<"operators.own">>,
  mine: string | undefined,
): Column<OperatorSession>[] {
  return [
    {
      id: "browser",
      title: t("browser"),
      cell: ({ id, userAgent }) => (
        <span className="text-xs wrap-anywhere">
          {userAgent} {id === mine && <Badge tone="accent">{t("this")}</Badge>}
        </span>
      ),
    },
    { id: "address", title: t("address"), cell: ({ address }) => <span className="whitespace-nowrap">{address}</span> },
    {
      id: "since",
      title: t("since"),
      cell: ({ createdAt }) => <Moment at={createdAt} className="whitespace-nowrap" />,
    },
    {
      id: "until",
      title: t("until"),
      cell: ({ expiresAt }) => <Moment at={expiresAt} className="whitespace-nowrap" />,
    },
  ];
}

function OwnPassword() {
  const t = useTranslations("operators.own");
  const trpc = useTRPC();
  const queries = useQueryClient();
  const { email } = useOperator();
  const [present, setPresent] = useState("");
  const [next, setNext] = useState("");
  const change = useMutation(
    trpc.operators.changePassword.mutationOptions({
      onSuccess: async ({ outcome }) => {
        if (outcome === "wrong_password") return;
        setPresent("");
        setNext("");
        showToast({ title: t("changed") });
        await queries.invalidateQueries(trpc.operators.pathFilter());
      },
    }),
  );
  return (
    <Card title={t("change")}>
      <form
        className="grid max-w-sm gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!change.isPending) change.mutate({ actId: newActId(), present, next });
        }}
      >
        {/* Whose password it is, for those who keep passwords. */}
        <input type="text" name="username" autoComplete="username" value={email} readOnly hidden />
        <TextField
          label={t("present")}
          type="password"
          autoComplete="current-password"
          value={present}
          onChange={setPresent}
          error={change.data?.outcome === "wrong_password" ? t("wrong") : undefined}
          required
        />
        <TextField
          label={t("next")}
          type="password"
          autoComplete="new-password"
          hint={t("hint")}
          value={next}
          onChange={setNext}
          minLength={12}
          maxLength={128}
          required
        />
        {change.isError && <FaultNotice error={change.error} beside />}
        <div>
          <Button type="submit" busy={change.isPending}>
            {t("change")}
          </Button>
        </div>
      </form>
    </Card>
  );
}
