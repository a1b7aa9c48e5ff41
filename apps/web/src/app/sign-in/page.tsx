import type { Metadata } from "next";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { SignInForm } from "@/app/sign-in/sign-in-form.tsx";
import { ownPath } from "@/server/own-path.ts";
import { readOperator } from "@/server/session.ts";

export const metadata: Metadata = { title: "Sign in" };

type Search = Promise<Record<string, string | string[] | undefined>>;

export default async function SignIn({ searchParams }: { searchParams: Search }) {
  const { next, ended } = await searchParams;
  const target = ownPath(typeof next === "string" ? next : undefined);
  // The form says it when the books are away.
  const operator = await readOperator(await headers()).catch(() => undefined);
  if (operator !== undefined) redirect(target);
  return (
    <main className="mx-auto flex min-h-screen w-full max-w-sm flex-col justify-center gap-6 p-6">
      <h1 className="text-2xl font-semibold">Sign in</h1>
      <SignInForm next={target} notice={ended === undefined ? "" : "Your session has ended. Sign in again."} />
    </main>
  );
}
