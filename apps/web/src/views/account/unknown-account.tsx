"use client";

import { SearchX } from "lucide-react";
import Link from "next/link";
import { useTranslations } from "use-intl";
import { PageTitle } from "@/console/page-title.tsx";
import { ButtonLink } from "@/ui/button.tsx";
import { EmptyState } from "@/ui/states.tsx";

export function UnknownAccount({ id }: { id: string }) {
  const t = useTranslations("accounts");
  return (
    <>
      <PageTitle above={<Link href="/accounts">{t("title")}</Link>}>{t("account.title")}</PageTitle>
      <EmptyState
        icon={<SearchX aria-hidden className="size-6 text-faint" />}
        title={t("account.unknown")}
        actions={
          <>
            <ButtonLink look="primary" href={`/accounts?search=${encodeURIComponent(id)}`} prefetch={false}>
              {t("account.searchIt")}
            </ButtonLink>
            <ButtonLink href={`/trace/${encodeURIComponent(id)}`} prefetch={false}>
              {t("account.traceIt")}
            </ButtonLink>
          </>
        }
      >
        <p>
          <bdi className="line-clamp-4 font-mono wrap-anywhere">{id}</bdi>
        </p>
        <p>{t("account.unknownHelp")}</p>
      </EmptyState>
    </>
  );
}
