import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { DeductionsView } from "@/views/deductions/deductions-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("deductions"))("title") };
}

export default async function Page() {
  const t = await translator("deductions");
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <DeductionsView />
    </>
  );
}
