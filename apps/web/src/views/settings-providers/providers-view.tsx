"use client";

// Where calls are sent, and what an admin does about it.
import type { StoredProvider } from "@drawdown/billing";
import { useQuery } from "@tanstack/react-query";
import { Ellipsis, Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useReasonAgainst } from "@/console/operator.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Button, IconButton } from "@/ui/button.tsx";
import { Card } from "@/ui/card.tsx";
import { type Column, DataTable } from "@/ui/data-table.tsx";
import { Menu, MenuItem } from "@/ui/menu.tsx";
import { Moment } from "@/ui/moment.tsx";
import { EmptyState, SkeletonTable } from "@/ui/states.tsx";
import { RemoveProvider } from "@/views/settings-providers/remove-provider.tsx";
import { SetProvider } from "@/views/settings-providers/set-provider.tsx";

type Asked = { what: "set" | "remove"; provider: StoredProvider | null };

export function ProvidersView() {
  const t = useTranslations("providers");
  const trpc = useTRPC();
  const list = useQuery(trpc.providers.list.queryOptions());
  const reason = useReasonAgainst("admin");
  const [asked, setAsked] = useState<Asked>({ what: "set", provider: null });
  const [open, setOpen] = useState(false);
  const columns = useColumns((next) => {
    setAsked(next);
    setOpen(true);
  });
  const key = `${asked.what} ${asked.provider?.name ?? ""}`;
  const dialog = { open, onOpenChange: setOpen };
  return (
    <Card
      title={t("title")}
      flush
      actions={
        <Button
          look="primary"
          size="small"
          icon={<Plus aria-hidden className="size-4" />}
          reason={reason}
          onClick={() => {
            setAsked({ what: "set", provider: null });
            setOpen(true);
          }}
        >
          {t("add")}
        </Button>
      }
    >
      {list.isError && <FaultNotice error={list.error} beside={list.data !== undefined} />}
      {list.isLoading && <SkeletonTable rows={3} columns={5} />}
      {list.data?.length === 0 && <EmptyState title={t("empty")}>{t("emptyHelp")}</EmptyState>}
      {list.data && list.data.length > 0 && (
        <DataTable
          label={t("title")}
          columns={columns}
          rows={list.data}
          rowId={({ name }) => name}
          rowName={({ name }) => name}
          busy={list.isFetching}
        />
      )}
      {asked.what === "set" && <SetProvider key={key} {...dialog} provider={asked.provider} known={list.data ?? []} />}
      {asked.what === "remove" && asked.provider && <RemoveProvider key={key} {...dialog} provider={asked.provider} />}
    </Card>
  );
}

function useColumns(ask: (asked: Asked) => void): Column<StoredProvider>[] {
  const t = useTranslations("providers");
  return useMemo(
    () => [
      {
        id: "name",
        title: t("name"),
        cell: ({ name }) => <bdi className="line-clamp-3 font-medium lg:min-w-28">{name}</bdi>,
      },
      {
        id: "shape",
        title: t("shape"),
        cell: ({ shape }) => <span className="whitespace-nowrap">{t(`shapes.${shape}`)}</span>,
      },
      {
        id: "baseUrl",
        title: t("baseUrl"),
        cell: ({ baseUrl }) => <bdi className="line-clamp-3 font-mono text-xs lg:min-w-48">{baseUrl}</bdi>,
      },
      {
        id: "key",
        title: t("apiKeyEnv"),
        cell: ({ apiKeyEnv }) =>
          apiKeyEnv === null ? (
            <span className="text-quiet">{t("noKey")}</span>
          ) : (
            <bdi className="inline-block font-mono text-xs lg:min-w-44">{apiKeyEnv}</bdi>
          ),
      },
      {
        id: "createdAt",
        title: t("createdAt"),
        cell: ({ createdAt }) => <Moment at={createdAt} precision="minutes" className="whitespace-nowrap" />,
      },
      {
        id: "acts",
        title: t("actions"),
        align: "end",
        cell: (provider) => <Acts {...{ provider, ask }} />,
      },
    ],
    [t, ask],
  );
}

function Acts({ provider, ask }: { provider: StoredProvider; ask: (asked: Asked) => void }) {
  const t = useTranslations("providers");
  const reason = useReasonAgainst("admin");
  const name = `${t("actions")}: ${provider.name}`;
  return (
    <Menu trigger={<IconButton label={name} size="small" icon={<Ellipsis aria-hidden className="size-4" />} />}>
      <MenuItem reason={reason} onSelect={() => ask({ what: "set", provider })}>
        {t("change")}
      </MenuItem>
      <MenuItem danger reason={reason} onSelect={() => ask({ what: "remove", provider })}>
        {t("remove")}
      </MenuItem>
    </Menu>
  );
}
