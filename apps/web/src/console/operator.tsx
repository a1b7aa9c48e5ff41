"use client";

// Who is signed in, for pages that show what he may do. The procedures decide; a button only says beforehand what they would answer.
import { createContext, type ReactNode, use } from "react";
import { useTranslations } from "use-intl";
import { mayAs, type Role } from "@/server/roles.ts";

export type SignedIn = { id: string; email: string; name: string; role: Role };

const Current = createContext<SignedIn | undefined>(undefined);

export function OperatorProvider({ operator, children }: { operator: SignedIn; children: ReactNode }) {
  return <Current value={operator}>{children}</Current>;
}

export function useOperator(): SignedIn {
  const operator = use(Current);
  if (operator === undefined) throw new Error("Only pages of the console know an operator.");
  return operator;
}

/** Why the operator may not do what needs `least`; undefined when he may. For a button's `reason`. */
export function useReasonAgainst(least: Role): string | undefined {
  const { role } = useOperator();
  const t = useTranslations("acts");
  return mayAs(role, least) ? undefined : t("needs", { role: least, yours: role });
}
