import { SearchX } from "lucide-react";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { ButtonLink } from "@/ui/button.tsx";
import { EmptyState } from "@/ui/states.tsx";

export default async function NotFound() {
  const t = await translator("shell");
  return (
    <>
      <title>{`${t("notFound.title")} · Drawdown`}</title>
      <PageTitle>{t("notFound.title")}</PageTitle>
      <EmptyState
        icon={<SearchX aria-hidden className="size-6 text-faint" />}
        title={t("notFound.help")}
        actions={<ButtonLink href="/">{t("notFound.home")}</ButtonLink>}
      />
    </>
  );
}
