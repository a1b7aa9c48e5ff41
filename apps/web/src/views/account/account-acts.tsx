"use client";

// What an operator can do to an account. What his role does not allow stays in sight, and says why.
import { Ellipsis, Gauge, Link2, Plus, Scale, Snowflake, Sun } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useTranslations } from "use-intl";
import { useReasonAgainst } from "@/console/operator.tsx";
import { Button } from "@/ui/button.tsx";
import { Menu, MenuItem } from "@/ui/menu.tsx";
import { openedOnDemand } from "@/ui/on-demand.tsx";
import type { ActOn } from "@/views/account/account-changed.ts";

const CheckDialog = openedOnDemand(
  () => import("@/views/account/check-dialog.tsx").then((module) => module.CheckDialog),
  "dialog",
);
const CreditDialog = openedOnDemand(
  () => import("@/views/account/credit-dialog.tsx").then((module) => module.CreditDialog),
  "dialog",
);
const LimitDialog = openedOnDemand(
  () => import("@/views/account/limit-dialog.tsx").then((module) => module.LimitDialog),
  "dialog",
);
const StatusDialog = openedOnDemand(
  () => import("@/views/account/status-dialog.tsx").then((module) => module.StatusDialog),
  "dialog",
);

type Open = "credit" | "status" | "limit" | "reconcile" | "verify";

const small = "size-4";

export function AccountActs({ account, standing }: ActOn) {
  const t = useTranslations("accounts.acts");
  const refused = useReasonAgainst("admin");
  const [open, setOpen] = useState<Open>();
  const frozen = (standing?.settled.status ?? account.status) === "frozen";
  const dialog = (which: Open) => ({
    open: open === which,
    onOpenChange: (next: boolean) => setOpen(next ? which : undefined),
  });
  const item = (which: "limit" | "reconcile" | "verify", icon: ReactNode) => (
    <MenuItem icon={icon} onSelect={() => setOpen(which)} {...(refused === undefined ? {} : { reason: refused })}>
      {t(which)}
    </MenuItem>
  );
  return (
    <>
      <Button
        look="primary"
        icon={<Plus aria-hidden className={small} />}
        reason={refused}
        onClick={() => setOpen("credit")}
      >
        {t("credit")}
      </Button>
      <Button
        icon={frozen ? <Sun aria-hidden className={small} /> : <Snowflake aria-hidden className={small} />}
        reason={refused}
        onClick={() => setOpen("status")}
      >
        {t(frozen ? "unfreeze" : "freeze")}
      </Button>
      <Menu trigger={<Button icon={<Ellipsis aria-hidden className={small} />}>{t("more")}</Button>}>
        {item("limit", <Gauge />)}
        {item("reconcile", <Scale />)}
        {item("verify", <Link2 />)}
      </Menu>
      <CreditDialog {...dialog("credit")} account={account} standing={standing} />
      <StatusDialog {...dialog("status")} account={account} frozen={frozen} />
      <LimitDialog {...dialog("limit")} account={account} standing={standing} />
      <CheckDialog {...dialog("reconcile")} account={account} check="reconcile" />
      <CheckDialog {...dialog("verify")} account={account} check="verify" />
    </>
  );
}
