// The pages of the console, in the order of its navigation.
import {
  Activity,
  Bell,
  CircleDollarSign,
  Gauge,
  Hourglass,
  KeyRound,
  type LucideIcon,
  MailX,
  Plug,
  ReceiptText,
  Route,
  ScrollText,
  Users,
  Wallet,
} from "lucide-react";
import type { Messages } from "@/console/messages.ts";

export type PageName = keyof Messages["shell"]["pages"];

export type PageEntry = {
  name: PageName;
  href: string;
  icon: LucideIcon;
  /** After g. */
  letter: string;
  settings?: true;
};

export const pages: readonly PageEntry[] = [
  { name: "overview", href: "/", icon: Gauge, letter: "o" },
  { name: "accounts", href: "/accounts", icon: Wallet, letter: "a" },
  { name: "deductions", href: "/deductions", icon: ReceiptText, letter: "d" },
  { name: "streams", href: "/streams", icon: Activity, letter: "s" },
  { name: "pending", href: "/pending", icon: Hourglass, letter: "p" },
  { name: "deadLetters", href: "/dead-letters", icon: MailX, letter: "l" },
  { name: "operations", href: "/operations", icon: ScrollText, letter: "r" },
  { name: "alerts", href: "/alerts", icon: Bell, letter: "w" },
  { name: "prices", href: "/settings/prices", icon: CircleDollarSign, letter: "c", settings: true },
  { name: "providers", href: "/settings/providers", icon: Plug, letter: "v", settings: true },
  { name: "keys", href: "/settings/keys", icon: KeyRound, letter: "k", settings: true },
  { name: "operators", href: "/settings/operators", icon: Users, letter: "u", settings: true },
];

export const traceIcon = Route;

/** Whether an address belongs to a page: it, or what is under it. */
export function isWithin(pathname: string, href: string): boolean {
  return pathname === href || (href !== "/" && pathname.startsWith(`${href}/`));
}

export const traceHref = (id: string) => `/trace/${encodeURIComponent(id)}`;
export const accountHref = (id: string) => `/accounts/${encodeURIComponent(id)}`;
export const operationHref = (id: string) => `/operations/${encodeURIComponent(id)}`;
