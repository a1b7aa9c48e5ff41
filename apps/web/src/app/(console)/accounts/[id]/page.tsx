import type { AccountHeader } from "@drawdown/db";
import type { Metadata } from "next";
import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { cache } from "react";
import { translator } from "@/console/messages.ts";
import { books } from "@/server/domain.ts";
import { readOperator } from "@/server/session.ts";
import { db } from "@/server/stores.ts";
import { AccountView } from "@/views/account/account-view.tsx";
import { UnknownAccount } from "@/views/account/unknown-account.tsx";

type Props = PageProps<"/accounts/[id]">;

/** `away`: the books cannot be asked now; the page says so, and asks again by itself. */
const find = cache(async (id: string): Promise<AccountHeader | "away" | undefined> => {
  try {
    if ((await readOperator(await headers())) === undefined) return undefined;
    return await books.readAccountHeader(db(), id);
  } catch {
    return "away";
  }
});

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const t = await translator("accounts");
  const found = await find(decodeURIComponent((await params).id));
  if (found === undefined || found === "away") return { title: t("account.title") };
  return { title: `${found.ownerName ?? found.ownerEmail ?? t("unnamed")} · ${t("account.title")}` };
}

export default async function Page({ params }: Props) {
  const id = decodeURIComponent((await params).id);
  const found = await find(id);
  if (found === undefined) return <UnknownAccount id={id} />;
  if (found === "away") return <AccountView id={id} />;
  // An owner's id is as good a name, but a page has one address.
  if (found.id !== id) redirect(`/accounts/${found.id}`);
  return <AccountView id={found.id} header={found} />;
}
