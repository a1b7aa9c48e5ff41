import { headers } from "next/headers";
import { redirect } from "next/navigation";
import type { ReactNode } from "react";
import { OperatorProvider } from "@/console/operator.tsx";
import { BooksAway } from "@/console/page-failed.tsx";
import { Shell } from "@/console/shell.tsx";
import { readOperator } from "@/server/session.ts";

/** Every page but the sign-in: for operators alone. */
export default async function ConsoleLayout({ children }: { children: ReactNode }) {
  const given = await headers();
  const operator = await readOperator(given).catch(() => "away" as const);
  if (operator === "away") return <BooksAway />;
  if (operator === undefined) redirect(`/sign-in?next=${encodeURIComponent(given.get("x-address") ?? "/")}`);
  const { id, email, name, role } = operator;
  return (
    <OperatorProvider operator={{ id, email, name, role }}>
      <Shell>{children}</Shell>
    </OperatorProvider>
  );
}
