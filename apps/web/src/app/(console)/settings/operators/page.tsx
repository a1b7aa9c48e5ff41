import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { OperatorsView } from "@/views/settings-operators/operators-view.tsx";
import { OwnSignIn } from "@/views/settings-operators/own-sign-in.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("operators"))("title") };
}

export default async function Page() {
  const t = await translator("operators");
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <div className="grid min-w-0 gap-6">
        <OperatorsView />
        <OwnSignIn />
      </div>
    </>
  );
}
