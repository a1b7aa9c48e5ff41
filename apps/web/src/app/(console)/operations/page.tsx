import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { OperationsView } from "@/views/operations/operations-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("operations"))("title") };
}

export default async function Page() {
  const t = await translator("operations");
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <OperationsView />
    </>
  );
}
