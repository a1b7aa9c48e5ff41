import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { PendingView } from "@/views/pending/pending-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("pending"))("title") };
}

export default async function Page() {
  const t = await translator("pending");
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <PendingView />
    </>
  );
}
