"use client";

// The frame of every page: navigation, top bar, palette, shortcuts. What is opened seldom is loaded when it is.
import dynamic from "next/dynamic";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { type ReactNode, useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { pages } from "@/console/navigation.ts";
import { themes } from "@/console/preferences.ts";
import { usePreferences } from "@/console/preferences-provider.tsx";
import { useShellFigures } from "@/console/shell-figures.ts";
import { Navigation } from "@/console/shell-navigation.tsx";
import { Top } from "@/console/shell-top.tsx";
import { type Shortcut, ShortcutsProvider, useShortcuts } from "@/console/shortcuts-provider.tsx";
import { enterTable } from "@/ui/data-table.tsx";
import { Sheet } from "@/ui/dialog.tsx";

const Palette = dynamic(() => import("@/console/palette.tsx").then((module) => module.Palette), { ssr: false });
const ShortcutsHelp = dynamic(() => import("@/console/shortcuts-help.tsx").then((module) => module.ShortcutsHelp), {
  ssr: false,
});
const PreferencesDialog = dynamic(
  () => import("@/console/preferences-dialog.tsx").then((module) => module.PreferencesDialog),
  { ssr: false },
);

type Opened = "navigation" | "palette" | "help" | "preferences";

export function Shell({ children }: { children: ReactNode }) {
  return (
    <ShortcutsProvider>
      <Frame>{children}</Frame>
    </ShortcutsProvider>
  );
}

function Frame({ children }: { children: ReactNode }) {
  const t = useTranslations("shell");
  const [opened, setOpened] = useState<Opened>();
  const [wanted, setWanted] = useState<ReadonlySet<Opened>>(new Set());
  const { counts } = useShellFigures();
  const open = useMemo(
    () => (what: Opened) => {
      setWanted((before) => new Set([...before, what]));
      setOpened(what);
    },
    [],
  );
  const opening = (what: Opened) => ({
    open: opened === what,
    onOpenChange: (next: boolean) => setOpened(next ? what : undefined),
  });
  useFrameShortcuts(open);
  const actions = useFrameActions(open);
  return (
    <div className="lg:grid lg:grid-cols-[14rem_minmax(0,1fr)]">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-accent focus:px-3 focus:py-2 focus:text-on-accent"
      >
        {t("skip")}
      </a>
      <aside className="sticky top-0 hidden h-dvh flex-col gap-4 overflow-y-auto border-r border-line bg-surface px-3 py-2.5 lg:flex">
        <Brand />
        <Navigation counts={counts} />
      </aside>
      <div className="min-w-0">
        <Top
          onNavigation={() => open("navigation")}
          onPalette={() => open("palette")}
          onPreferences={() => open("preferences")}
          onHelp={() => open("help")}
        />
        <main id="content" tabIndex={-1} className="px-3 py-5 outline-none sm:px-5">
          {children}
        </main>
      </div>
      <Sheet side="left" title={t("name")} {...opening("navigation")}>
        <Navigation counts={counts} onLeave={() => setOpened(undefined)} />
      </Sheet>
      {wanted.has("palette") && <Palette {...opening("palette")} actions={actions} />}
      {wanted.has("help") && <ShortcutsHelp {...opening("help")} />}
      {wanted.has("preferences") && <PreferencesDialog {...opening("preferences")} />}
    </div>
  );
}

function Brand() {
  const t = useTranslations("shell");
  return (
    <Link href="/" prefetch={false} className="flex min-h-8 items-center gap-2 px-2 font-semibold tracking-tight">
      <svg aria-hidden viewBox="0 0 32 32" className="size-6">
        <rect width="32" height="32" rx="7" className="fill-accent" />
        <path
          d="M8 9h16M8 15h11M8 21h6"
          className="stroke-on-accent"
          strokeWidth="3"
          strokeLinecap="round"
          fill="none"
        />
      </svg>
      {t("name")}
    </Link>
  );
}

function useFrameShortcuts(open: (what: Opened) => void): void {
  const t = useTranslations("shell");
  const router = useRouter();
  const shortcuts = useMemo<Shortcut[]>(
    () => [
      { keys: "mod+k", label: t("shortcuts.palette"), group: "everywhere", run: () => open("palette") },
      { keys: "?", label: t("shortcuts.help"), group: "everywhere", run: () => open("help") },
      { keys: "/", label: t("shortcuts.filter"), group: "lists", run: focusFilter },
      { keys: "j", label: t("shortcuts.down"), group: "lists", run: enterTable },
      { keys: "k", label: t("shortcuts.up"), group: "lists", run: enterTable },
      { keys: "g t", label: t("pages.trace"), group: "go", run: () => focusTrace() || open("palette") },
      ...pages.map(({ name, href, letter }) => ({
        keys: `g ${letter}`,
        label: t(`pages.${name}`),
        group: "go" as const,
        run: () => router.push(href),
      })),
    ],
    [t, router, open],
  );
  useShortcuts(shortcuts);
}

function useFrameActions(open: (what: Opened) => void) {
  const t = useTranslations();
  const { change } = usePreferences();
  return useMemo(
    () => [
      { name: t("shell.preferences"), run: () => open("preferences") },
      { name: t("shell.shortcutsHelp"), run: () => open("help") },
      ...themes.map((theme) => ({
        name: `${t("preferences.theme")}: ${t(`preferences.themes.${theme}`)}`,
        run: () => change({ theme }),
      })),
    ],
    [t, open, change],
  );
}

/** Not there at a phone's width: false. */
function focusTrace(): boolean {
  const field = document.querySelector<HTMLElement>("[data-trace-field]");
  field?.focus();
  return field !== null && field === document.activeElement;
}

/** The first field of what the page itself shows. */
function focusFilter(): void {
  document
    .querySelector<HTMLElement>("#content input:not([type=checkbox]):not([type=hidden]), #content textarea")
    ?.focus();
}
