import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { ProvidersView } from "@/views/settings-providers/providers-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("providers"))("title") };
}

export default async function Page() {
  const t = await translator("providers");
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <ProvidersView />
    </>
  );
}
