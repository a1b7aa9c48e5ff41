"use client";

import { useTranslations } from "use-intl";
import { type ShortcutGroup, useShortcutRegistry } from "@/console/shortcuts-provider.tsx";
import { Dialog } from "@/ui/dialog.tsx";

const groups: readonly ShortcutGroup[] = ["everywhere", "lists", "here", "go"];

/** What `?` shows: every shortcut that works on this page now. */
export function ShortcutsHelp({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const t = useTranslations("shell.shortcuts");
  const { shortcuts } = useShortcutRegistry();
  // Those are keys of the table and its links, which take them themselves.
  const inLists = (["X", "Enter"] as const).map((keys) => ({
    keys,
    label: t(keys === "X" ? "select" : "open"),
    group: "lists" as const,
  }));
  const shown = [...shortcuts, ...inLists];
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title={t("title")} size="medium">
      <div
        // Scrolls by keyboard as well.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        className="grid gap-x-8 gap-y-4 sm:grid-cols-2"
      >
        {groups.map((group) => {
          const own = shown.filter((shortcut) => (shortcut.group ?? "here") === group);
          if (own.length === 0) return null;
          return (
            <section key={group}>
              <h3 className="mb-1 text-xs font-semibold text-quiet">{t(group)}</h3>
              <dl>
                {own.map(({ keys, label }) => (
                  <div key={keys} className="flex min-h-8 items-center justify-between gap-3 border-b border-line">
                    <dt className="min-w-0">{label}</dt>
                    <dd>
                      <Keys keys={keys} />
                    </dd>
                  </div>
                ))}
              </dl>
            </section>
          );
        })}
      </div>
    </Dialog>
  );
}

export function Keys({ keys }: { keys: string }) {
  const t = useTranslations("shell.shortcuts");
  return (
    <span className="inline-flex items-center gap-1 text-xs whitespace-nowrap text-quiet">
      {keys.split(" ").map((stroke, place) => (
        <span key={stroke} className="contents">
          {place > 0 ? <span className="text-faint">{t("then")}</span> : null}
          <kbd className="min-w-5 rounded border border-line-mid bg-sunken px-1 text-center font-sans">
            {keyName(stroke)}
          </kbd>
        </span>
      ))}
    </span>
  );
}

function keyName(stroke: string): string {
  const mac = typeof navigator !== "undefined" && /mac|iphone|ipad/i.test(navigator.userAgent);
  return stroke.replace("mod+", mac ? "⌘ " : "Ctrl ").replace(/\b[a-z]$/, (letter) => letter.toUpperCase());
}
