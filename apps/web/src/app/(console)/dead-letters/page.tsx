import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { DeadLettersView } from "@/views/dead-letters/dead-letters-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("deadLetters"))("title") };
}

export default async function Page() {
  const t = await translator("deadLetters");
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <DeadLettersView />
    </>
  );
}
