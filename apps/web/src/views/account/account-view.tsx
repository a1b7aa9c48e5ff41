"use client";

import type { AccountStanding } from "@drawdown/billing";
import type { AccountHeader } from "@drawdown/db";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { parseAsStringLiteral, useQueryState } from "nuqs";
import { lazy, Suspense } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { PageTitle } from "@/console/page-title.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { useLive } from "@/trpc/live.ts";
import { Badge } from "@/ui/badge.tsx";
// One account: why its balance is what it is, at this moment; what it spent; every movement since it was opened; and what belongs to it.
import { excerpt } from "@/ui/excerpt.ts";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";
import { SkeletonLines } from "@/ui/states.tsx";
import { Tabs } from "@/ui/tabs.tsx";
import { AccountActs } from "@/views/account/account-acts.tsx";
import { Figures } from "@/views/account/figures.tsx";
import { Standing } from "@/views/account/standing.tsx";
import { Trail } from "@/views/account/trail.tsx";
import { UnknownAccount } from "@/views/account/unknown-account.tsx";

const TABS = ["trail", "keys", "refusals", "holds", "uncaptured", "operations"] as const;

// The other sections come when they are opened.
const belongings = () => import("@/views/account/belongings.tsx");
const AccountKeys = lazy(async () => ({ default: (await belongings()).AccountKeys }));
const AccountOperations = lazy(async () => ({ default: (await belongings()).AccountOperations }));
const AccountUncaptured = lazy(async () => ({ default: (await belongings()).AccountUncaptured }));
const OpenHolds = lazy(async () => ({ default: (await import("@/views/account/open-holds.tsx")).OpenHolds }));
const AccountRefusals = lazy(async () => ({
  default: (await import("@/views/account/refusals.tsx")).AccountRefusals,
}));

/** `header` is the server's, when it could be read. */
export function AccountView({ id, header }: { id: string; header?: AccountHeader }) {
  const t = useTranslations("accounts");
  const trpc = useTRPC();
  const read = useQuery({
    ...trpc.account.header.queryOptions({ id }),
    ...(header === undefined ? {} : { initialData: header }),
  });
  const account = read.data;
  if (account === null) return <UnknownAccount id={id} />;
  if (account === undefined)
    return (
      <>
        <PageTitle above={<Link href="/accounts">{t("title")}</Link>}>{t("account.title")}</PageTitle>
        {read.error ? <FaultNotice error={read.error} /> : <SkeletonLines lines={6} />}
      </>
    );
  return <Account account={account} fault={read.error} />;
}

function Account({ account, fault }: { account: AccountHeader; fault: unknown }) {
  const trpc = useTRPC();
  const live = useLive(trpc.account.live.subscriptionOptions({ accountId: account.id }));
  const standing: AccountStanding | undefined = live.last;
  return (
    <>
      <Title account={account} standing={standing} />
      <div className="grid grid-cols-1 gap-5">
        {fault != null && <FaultNotice error={fault} beside />}
        <Standing account={account} standing={standing} line={live.line} error={live.error} />
        <Figures accountId={account.id} currency={account.currency} />
        <Sections account={account} standing={standing} />
      </div>
    </>
  );
}

function Title({ account, standing }: { account: AccountHeader; standing: AccountStanding | undefined }) {
  const t = useTranslations("accounts");
  const status = standing?.settled.status ?? account.status;
  const name = account.ownerName ?? account.ownerEmail ?? t("unnamed");
  return (
    <PageTitle
      above={
        <Link className="link" href="/accounts">
          {t("title")}
        </Link>
      }
      note={
        <span className="grid grid-cols-1 gap-0.5">
          <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
            <Badge tone={status === "frozen" ? "warning" : "ok"}>
              {t(status === "frozen" ? "status.frozen" : "status.active")}
            </Badge>
            <span>{t(`type.${account.type}`)}</span>
            {account.customerType !== null && <bdi>{account.customerType}</bdi>}
            {account.ownerEmail !== null && account.ownerName !== null && (
              <bdi className="wrap-anywhere" title={account.ownerEmail}>
                {excerpt(account.ownerEmail)}
              </bdi>
            )}
            <span>
              {t("account.opened")} <Moment at={account.createdAt} precision="minutes" />
            </span>
          </span>
          <span className="flex flex-wrap items-center gap-x-4">
            <span>
              {t("account.id")} <Identifier id={account.id} what={t("account.id")} />
            </span>
            <span>
              {t("account.ownerId")} <Identifier id={account.ownerId} what={t("account.ownerId")} />
            </span>
          </span>
        </span>
      }
      actions={<AccountActs account={account} standing={standing} />}
    >
      <bdi className="line-clamp-3" title={name}>
        {excerpt(name)}
      </bdi>
    </PageTitle>
  );
}

function Sections({ account, standing }: { account: AccountHeader; standing: AccountStanding | undefined }) {
  const t = useTranslations("accounts");
  const [tab, setTab] = useQueryState("tab", parseAsStringLiteral(TABS).withDefault("trail"));
  const { id: accountId } = account;
  const held = standing?.holds?.count;
  const contents = {
    trail: <Trail accountId={accountId} currency={account.currency} />,
    keys: <AccountKeys accountId={accountId} />,
    refusals: <AccountRefusals accountId={accountId} />,
    holds: <OpenHolds standing={standing} />,
    uncaptured: <AccountUncaptured accountId={accountId} currency={account.currency} />,
    operations: <AccountOperations accountId={accountId} />,
  };
  return (
    <Tabs
      label={t("account.sections")}
      parameter="tab"
      value={tab}
      onChange={(value) => void setTab(value).catch(() => {})}
      tabs={TABS.map((value) => ({
        value,
        label:
          value === "keys"
            ? `${t("tab.keys")} · ${account.keys}`
            : value === "holds" && held !== undefined
              ? `${t("tab.holds")} · ${held}`
              : t(`tab.${value}`),
        content: <Suspense fallback={<SkeletonLines lines={4} />}>{contents[value]}</Suspense>,
      }))}
    />
  );
}
