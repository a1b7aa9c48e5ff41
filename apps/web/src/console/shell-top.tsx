"use client";

import {
  Bell,
  Keyboard,
  LogOut,
  Menu as MenuIcon,
  Search,
  SlidersHorizontal,
  TriangleAlert,
  UserRound,
} from "lucide-react";
import { useTranslations } from "use-intl";
import { useOperator } from "@/console/operator.tsx";
import { useShellFigures } from "@/console/shell-figures.ts";
import { Keys } from "@/console/shortcuts-help.tsx";
import { signOut } from "@/console/sign-out.ts";
import { Badge } from "@/ui/badge.tsx";
import { Button, ButtonLink, IconButton } from "@/ui/button.tsx";
import { LineIndicator } from "@/ui/line.tsx";
import { Menu, MenuItem, MenuSeparator } from "@/ui/menu.tsx";
import { showToast } from "@/ui/toast.tsx";

export type TopProps = {
  onNavigation: () => void;
  onPalette: () => void;
  onPreferences: () => void;
  onHelp: () => void;
};

export function Top({ onNavigation, onPalette, onPreferences, onHelp }: TopProps) {
  const t = useTranslations("shell");
  const faults = useTranslations("faults");
  const { line, fault, counts } = useShellFigures();
  return (
    <header className="sticky top-0 z-20 flex h-12 items-center gap-2 border-b border-line bg-surface px-3 sm:px-5">
      <div className="lg:hidden">
        <IconButton
          label={t("openNavigation")}
          icon={<MenuIcon aria-hidden className="size-4" />}
          onClick={onNavigation}
        />
      </div>
      <button
        type="button"
        onClick={onPalette}
        className="flex h-8 min-w-8 items-center gap-2 rounded-md border border-line-mid bg-ground px-2 text-faint hover:border-line-strong hover:text-quiet sm:w-72"
      >
        <Search aria-hidden className="size-4 shrink-0" />
        <span className="sr-only truncate sm:not-sr-only">{t("search")}</span>
        <span className="ml-auto hidden sm:inline" suppressHydrationWarning>
          <Keys keys="mod+k" />
        </span>
      </button>
      <div className="ml-auto flex items-center gap-1.5 sm:gap-3">
        {fault === undefined || fault === "offline" ? (
          <LineIndicator state={line} />
        ) : (
          <Badge tone="critical" icon={<TriangleAlert aria-hidden />}>
            {faults(`${fault}.title`)}
          </Badge>
        )}
        <Alerts count={counts.alerts} />
        <OperatorMenu onPreferences={onPreferences} onHelp={onHelp} />
      </div>
    </header>
  );
}

function Alerts({ count }: { count: number | undefined }) {
  const t = useTranslations("shell");
  const label = count === undefined ? t("alertsUnknown") : t("alerts", { count });
  return (
    <ButtonLink href="/alerts" prefetch={false} look="ghost" aria-label={label} title={label} className="px-2!">
      <Bell aria-hidden className="size-4" />
      {count === undefined || count === 0 ? null : (
        <span className="rounded bg-critical-soft px-1.5 text-xs font-semibold text-critical tabular-nums">
          {count > 99 ? "99+" : count}
        </span>
      )}
    </ButtonLink>
  );
}

function OperatorMenu({ onPreferences, onHelp }: Pick<TopProps, "onPreferences" | "onHelp">) {
  const t = useTranslations("shell");
  const { name, email, role } = useOperator();
  const roleName = t(`roles.${role}`);
  const leave = () => {
    signOut().catch(() => showToast({ tone: "critical", title: t("signOutFailed"), description: t("tryAgain") }));
  };
  return (
    <Menu
      trigger={
        <Button look="ghost" aria-label={t("operator", { name, role: roleName })} className="px-2!">
          <UserRound aria-hidden className="size-4" />
          <span className="hidden max-w-40 truncate md:inline">{name}</span>
        </Button>
      }
    >
      <div className="px-2.5 py-1.5">
        <div className="font-medium wrap-anywhere">{name}</div>
        <div className="text-xs text-faint wrap-anywhere">{email}</div>
        <div className="mt-1">
          <Badge>{roleName}</Badge>
        </div>
      </div>
      <MenuSeparator />
      <MenuItem icon={<SlidersHorizontal />} onSelect={onPreferences}>
        {t("preferences")}
      </MenuItem>
      <MenuItem icon={<Keyboard />} onSelect={onHelp}>
        {t("shortcutsHelp")}
      </MenuItem>
      <MenuSeparator />
      <MenuItem icon={<LogOut />} onSelect={leave}>
        {t("signOut")}
      </MenuItem>
    </Menu>
  );
}
