"use client";

// The operators, and what an admin does about them.
import type { Operator } from "@drawdown/billing";
import { useQuery } from "@tanstack/react-query";
import { Ellipsis, UserPlus } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useOperator, useReasonAgainst } from "@/console/operator.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Badge } from "@/ui/badge.tsx";
import { Button, IconButton } from "@/ui/button.tsx";
import { Card } from "@/ui/card.tsx";
import { type Column, DataTable } from "@/ui/data-table.tsx";
import { Menu, MenuItem } from "@/ui/menu.tsx";
import { Moment } from "@/ui/moment.tsx";
import { SkeletonTable } from "@/ui/states.tsx";
import { AddOperator } from "@/views/settings-operators/add-operator.tsx";
import { type Change, ChangeOperator } from "@/views/settings-operators/change-operator.tsx";

export function OperatorsView() {
  const t = useTranslations("operators");
  const trpc = useTRPC();
  const reason = useReasonAgainst("admin");
  const list = useQuery({ ...trpc.operators.list.queryOptions(), enabled: reason === undefined });
  const [adding, setAdding] = useState(false);
  const [changing, setChanging] = useState<Change | null>(null);
  const columns = useColumns(setChanging);
  return (
    <Card
      title={t("title")}
      flush
      actions={
        <Button
          look="primary"
          size="small"
          icon={<UserPlus aria-hidden className="size-4" />}
          reason={reason}
          onClick={() => setAdding(true)}
        >
          {t("add")}
        </Button>
      }
    >
      {reason !== undefined && <p className="p-4 text-quiet">{t("adminsOnly")}</p>}
      {list.isError && <FaultNotice error={list.error} beside={list.data !== undefined} />}
      {list.isLoading && <SkeletonTable rows={3} columns={5} />}
      {list.data && (
        <DataTable
          label={t("title")}
          columns={columns}
          rows={list.data}
          rowId={({ id }) => id}
          rowName={({ email }) => email}
          rowTone={({ status }) => (status === "disabled" ? "muted" : undefined)}
          busy={list.isFetching}
        />
      )}
      <AddOperator open={adding} onOpenChange={setAdding} />
      <ChangeOperator change={changing} onClose={() => setChanging(null)} />
    </Card>
  );
}

function useColumns(onChange: (change: Change) => void): Column<Operator>[] {
  const t = useTranslations("operators");
  const me = useOperator();
  return [
    {
      id: "email",
      title: t("email"),
      cell: ({ id, email, name }) => (
        <span className="min-w-0 wrap-anywhere">
          <span className="font-medium">{email}</span> {id === me.id && <Badge>{t("you")}</Badge>}
          <span className="block text-xs text-quiet">{name}</span>
        </span>
      ),
    },
    { id: "role", title: t("role"), cell: ({ role }) => <span className="whitespace-nowrap">{role}</span> },
    {
      id: "status",
      title: t("status"),
      cell: ({ status }) => (
        <span className="whitespace-nowrap">
          <Badge tone={status === "active" ? "ok" : "neutral"}>{t(status)}</Badge>
        </span>
      ),
    },
    { id: "by", title: t("signsInBy"), cell: ({ signsInBy }) => signsInBy.map((by) => t(by)).join(", ") },
    { id: "sessions", title: t("sessions"), align: "end", cell: ({ sessions }) => sessions },
    {
      id: "last",
      title: t("lastSignIn"),
      cell: ({ lastSignInAt }) =>
        lastSignInAt === null ? t("never") : <Moment at={lastSignInAt} className="whitespace-nowrap" />,
    },
    { id: "acts", title: t("actions"), align: "end", cell: (operator) => <Acts {...{ operator, onChange }} /> },
  ];
}

function Acts({ operator, onChange }: { operator: Operator; onChange: (change: Change) => void }) {
  const t = useTranslations("operators");
  const ask = (what: Change["what"]) => () => onChange({ what, operator });
  const name = `${t("actions")}: ${operator.email}`;
  return (
    <Menu trigger={<IconButton label={name} size="small" icon={<Ellipsis aria-hidden className="size-4" />} />}>
      <MenuItem onSelect={ask("setRole")}>{t("setRole")}</MenuItem>
      <MenuItem onSelect={ask("reset")}>{t("reset")}</MenuItem>
      <MenuItem onSelect={ask("signOut")}>{t("signOut")}</MenuItem>
      {operator.status === "active" ? (
        <MenuItem danger onSelect={ask("disable")}>
          {t("disable")}
        </MenuItem>
      ) : (
        <MenuItem onSelect={ask("enable")}>{t("enable")}</MenuItem>
      )}
    </Menu>
  );
}
