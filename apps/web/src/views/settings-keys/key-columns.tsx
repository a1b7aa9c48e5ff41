import type { KeyListRow } from "@drawdown/db";
import { Ellipsis } from "lucide-react";
import Link from "next/link";
import { useTranslations } from "use-intl";
import { KeySpend } from "@/console/key-spend.tsx";
import { useReasonAgainst } from "@/console/operator.tsx";
import { Badge } from "@/ui/badge.tsx";
import { IconButton } from "@/ui/button.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { excerpt } from "@/ui/excerpt.ts";
import { Identifier } from "@/ui/identifier.tsx";
import { Menu, MenuItem } from "@/ui/menu.tsx";
import { Moment } from "@/ui/moment.tsx";
import { Tooltip } from "@/ui/tooltip.tsx";

type Words = ReturnType<typeof useTranslations<"keys">>;

export type AskedOfKey = { what: "update" | "revoke"; key: KeyListRow };

const MODELS_SHOWN = 3;

export function keyColumns(t: Words, ask: (asked: AskedOfKey) => void): Column<KeyListRow>[] {
  return [
    {
      id: "key",
      title: t("column.key"),
      cell: ({ virtualKey, name }) => (
        <span className="grid min-w-0 justify-items-start xl:min-w-44">
          {name !== null && <bdi className="line-clamp-2 font-medium">{excerpt(name)}</bdi>}
          <Identifier id={virtualKey} what={t("column.key")} />
        </span>
      ),
    },
    { id: "owner", title: t("column.owner"), cell: (key) => <Owner apiKey={key} /> },
    { id: "status", title: t("column.status"), cell: ({ status }) => <Status status={status} t={t} /> },
    { id: "models", title: t("column.models"), cell: ({ allowedModels }) => <Models models={allowedModels} t={t} /> },
    {
      id: "spend",
      title: t("column.spend"),
      align: "end",
      cell: (key) => <KeySpend apiKey={key} />,
    },
    {
      id: "rpm",
      title: t("column.rpm"),
      align: "end",
      cell: ({ requestsPerMinute }) => requestsPerMinute ?? <Quiet>{t("noLimit")}</Quiet>,
    },
    { id: "policies", title: t("column.policies"), cell: (key) => <Policies apiKey={key} t={t} /> },
    {
      id: "expires",
      title: t("column.expires"),
      cell: ({ expiresAt }) =>
        expiresAt === null ? (
          <Quiet>{t("never")}</Quiet>
        ) : (
          <Moment at={expiresAt} precision="minutes" className="whitespace-nowrap" />
        ),
    },
    {
      id: "created",
      title: t("column.created"),
      cell: ({ createdAt, createdBy }) => (
        <>
          <Moment at={createdAt} precision="minutes" className="whitespace-nowrap" />
          {createdBy !== null && <bdi className="line-clamp-2 text-xs text-quiet">{t("by", { who: createdBy })}</bdi>}
        </>
      ),
    },
    { id: "acts", title: t("actions"), align: "end", cell: (key) => <Acts apiKey={key} ask={ask} /> },
  ];
}

function Quiet({ children }: { children: string }) {
  return <span className="whitespace-nowrap text-quiet">{children}</span>;
}

function Owner({ apiKey }: { apiKey: KeyListRow }) {
  const t = useTranslations("keys");
  const { accountId, userName, userId } = apiKey;
  const name = <bdi className="line-clamp-2">{excerpt(userName ?? t("userLabel", { user: userId }))}</bdi>;
  if (accountId === null)
    return (
      <>
        {name}
        <Badge tone="warning">{t("nobodyPays")}</Badge>
      </>
    );
  return (
    <Link className="link" href={`/accounts/${accountId}`} prefetch={false}>
      {name}
    </Link>
  );
}

const tones = { active: "ok", expired: "warning", revoked: "neutral" } as const;

function Status({ status, t }: { status: KeyListRow["status"]; t: Words }) {
  return (
    <span className="whitespace-nowrap">
      <Badge tone={tones[status]}>{t(`status.${status}`)}</Badge>
    </span>
  );
}

function Models({ models, t }: { models: string[] | null; t: Words }) {
  if (models === null) return <Quiet>{t("allModels")}</Quiet>;
  const rest = models.slice(MODELS_SHOWN);
  return (
    <ul className="grid min-w-0 gap-0.5">
      {models.slice(0, MODELS_SHOWN).map((model) => (
        <li key={model}>
          <bdi className="line-clamp-2 font-mono text-xs">{model}</bdi>
        </li>
      ))}
      {rest.length > 0 && (
        <li className="text-xs text-quiet">
          <Tooltip text={rest.join(", ").slice(0, 2_000)}>
            <button type="button" className="min-h-6 underline decoration-dotted">
              {t("moreModels", { count: rest.length })}
            </button>
          </Tooltip>
        </li>
      )}
    </ul>
  );
}

function Policies({ apiKey: { holdPolicy, leavePolicy }, t }: { apiKey: KeyListRow; t: Words }) {
  const said = [
    holdPolicy === "available" || holdPolicy === "worst_case" ? t(`holdShort.${holdPolicy}`) : undefined,
    leavePolicy === "drain" || leavePolicy === "cut" ? t(`leaveShort.${leavePolicy}`) : undefined,
  ].filter((text) => text !== undefined);
  if (said.length === 0) return <Quiet>{t("policyDefault")}</Quiet>;
  return <span className="text-xs">{said.join(", ")}</span>;
}

function Acts({ apiKey, ask }: { apiKey: KeyListRow; ask: (asked: AskedOfKey) => void }) {
  const t = useTranslations("keys");
  const refused = useReasonAgainst("admin");
  const reason = refused ?? (apiKey.status === "revoked" ? t("revokedNow") : undefined);
  const name = `${t("actions")}: ${apiKey.virtualKey}`;
  return (
    <Menu trigger={<IconButton label={name} size="small" icon={<Ellipsis aria-hidden className="size-4" />} />}>
      <MenuItem reason={reason} onSelect={() => ask({ what: "update", key: apiKey })}>
        {t("update")}
      </MenuItem>
      <MenuItem danger reason={reason} onSelect={() => ask({ what: "revoke", key: apiKey })}>
        {t("revoke")}
      </MenuItem>
    </Menu>
  );
}
