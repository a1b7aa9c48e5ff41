"use client";

// Every API key, and what an admin does about it.
import type { KeyListRow } from "@drawdown/db";
import { useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { PageTitle } from "@/console/page-title.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { Button } from "@/ui/button.tsx";
import { CreateKey } from "@/views/settings-keys/create-key.tsx";
import { type AskedOfKey, keyColumns } from "@/views/settings-keys/key-columns.tsx";
import { RevokeKey } from "@/views/settings-keys/revoke-key.tsx";
import { UpdateKey } from "@/views/settings-keys/update-key.tsx";

const KEYS = ["search", "status", "account"] as const;
type Key = (typeof KEYS)[number];

const STATUSES = ["active", "expired", "revoked"] as const;
type Asked = { search?: string; status?: (typeof STATUSES)[number]; account?: string };

export function KeysView() {
  const t = useTranslations("keys");
  const trpc = useTRPC();
  const queries = useQueryClient();
  const address = useListAddress(KEYS);
  const filters = address.filters as Asked;
  const list = useList(trpc.keys, { filters }, address.page);
  const [creating, setCreating] = useState(false);
  const [asked, setAsked] = useState<AskedOfKey | null>(null);
  const [open, setOpen] = useState(false);
  const columns = useMemo(
    () =>
      keyColumns(t, (next) => {
        setAsked(next);
        setOpen(true);
      }),
    [t],
  );
  const onDone = () => {
    void queries.invalidateQueries(trpc.keys.pathFilter());
  };
  const dialog = { open, onOpenChange: setOpen, onDone };
  return (
    <>
      <KeysTitle onCreate={() => setCreating(true)} />
      <List<KeyListRow, Key>
        name="keys"
        label={t("title")}
        columns={columns}
        filters={filterSpecs(t)}
        address={address}
        {...list}
        rowId={({ virtualKey }) => virtualKey}
        rowName={({ virtualKey }) => virtualKey}
        rowTone={({ status, accountId }) =>
          status !== "active" ? "muted" : accountId === null ? "warning" : undefined
        }
        empty={{ title: t("empty.title"), help: t("empty.help") }}
      />
      <CreateKey
        open={creating}
        onOpenChange={setCreating}
        accountId={address.filters.account}
        onDone={() => {
          onDone();
          address.renew();
        }}
      />
      {asked?.what === "update" && <UpdateKey key={asked.key.virtualKey} {...dialog} apiKey={asked.key} />}
      {asked?.what === "revoke" && <RevokeKey key={asked.key.virtualKey} {...dialog} apiKey={asked.key} />}
    </>
  );
}

function KeysTitle({ onCreate }: { onCreate: () => void }) {
  const t = useTranslations("keys");
  const reason = useReasonAgainst("admin");
  return (
    <PageTitle
      note={t("note")}
      actions={
        <Button look="primary" icon={<Plus aria-hidden className="size-4" />} reason={reason} onClick={onCreate}>
          {t("create")}
        </Button>
      }
    >
      {t("title")}
    </PageTitle>
  );
}

function filterSpecs(t: ReturnType<typeof useTranslations<"keys">>): FilterSpec<Key>[] {
  return [
    { key: "search", label: t("filter.search"), kind: "text" },
    {
      key: "status",
      label: t("filter.status"),
      kind: "choice",
      options: STATUSES.map((value) => ({ value, label: t(`status.${value}`) })),
    },
    { key: "account", label: t("filter.account"), kind: "text" },
  ];
}
