import type { Metadata } from "next";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { SignInForm } from "@/app/sign-in/sign-in-form.tsx";
import { translator } from "@/console/messages.ts";
import { readConfig } from "@/server/config.ts";
import { ownPath } from "@/server/own-path.ts";
import { readOperator } from "@/server/session.ts";

export async function generateMetadata(): Promise<Metadata> {
  const t = await translator("signIn");
  return { title: t("title") };
}

type Search = Promise<Record<string, string | string[] | undefined>>;

export default async function SignIn({ searchParams }: { searchParams: Search }) {
  const { next, ended, error } = await searchParams;
  const target = ownPath(typeof next === "string" ? next : undefined);
  // The form says it when the books are away.
  const operator = await readOperator(await headers()).catch(() => undefined);
  if (operator !== undefined) redirect(target);
  const t = await translator("signIn");
  const notice = typeof error === "string" ? await failureOf(error) : ended === undefined ? "" : t("ended");
  return (
    <main className="mx-auto flex min-h-dvh w-full max-w-sm flex-col justify-center gap-6 p-6">
      <h1 className="text-2xl font-semibold tracking-tight">{t("title")}</h1>
      <SignInForm next={target} notice={notice} singleSignOn={readConfig().singleSignOn?.name} />
    </main>
  );
}

/** What single sign-on came back with. The code comes in an address that anybody can write: a word of it is shown, no sentence. */
async function failureOf(code: string): Promise<string> {
  const t = await translator("signIn");
  switch (code) {
    case "signup_disabled":
      return t("singleSignOn.stranger");
    case "not_allowed":
    case "email_not_verified":
    case "access_denied":
      return t("singleSignOn.refused");
    case "unreachable":
      return t("singleSignOn.unreachable");
    case "disabled":
      return t("problems.disabled");
    default:
      return t("singleSignOn.failed", { code: code.replaceAll(/[^\w-]/g, "").slice(0, 40) });
  }
}
