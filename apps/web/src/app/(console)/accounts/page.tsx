import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { AccountsView } from "@/views/accounts/accounts-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("accounts"))("title") };
}

export default async function Page() {
  const t = await translator("accounts");
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <AccountsView />
    </>
  );
}
