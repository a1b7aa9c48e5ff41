"use client";

// ⌘K: any id, any page, any action, by keyboard alone. An id is never looked up here: its page says what is known of it.
import { Autocomplete } from "@base-ui/react/autocomplete";
import { Dialog } from "@base-ui/react/dialog";
import { Search } from "lucide-react";
import { useRouter } from "next/navigation";
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { accountHref, operationHref, pages, traceHref } from "@/console/navigation.ts";
import { idOf, matches } from "@/console/palette-match.ts";
import { Keys } from "@/console/shortcuts-help.tsx";
import { useShortcutRegistry } from "@/console/shortcuts-provider.tsx";

export type PaletteAction = { name: string; run: () => void };

type Entry = { name: string; kind: string; keys?: string; run: () => void };

export type PaletteProps = { open: boolean; onOpenChange: (open: boolean) => void; actions: readonly PaletteAction[] };

export function Palette({ open, onOpenChange, actions }: PaletteProps) {
  const t = useTranslations("shell.palette");
  return (
    <Dialog.Root open={open} onOpenChange={(next) => onOpenChange(next)}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop z-40" />
        <Dialog.Popup
          aria-label={t("title")}
          className="popup fixed top-[12vh] left-1/2 z-40 flex max-h-[min(32rem,80dvh)] w-[calc(100vw-1rem)] max-w-xl -translate-x-1/2 flex-col overflow-hidden"
        >
          <Finder actions={actions} onDone={() => onOpenChange(false)} />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** Mounted anew each time, so that nothing typed before is left. */
function Finder({ actions, onDone }: { actions: readonly PaletteAction[]; onDone: () => void }) {
  const t = useTranslations("shell.palette");
  const [query, setQuery] = useState("");
  const entries = useEntries(query, actions);
  const choose = (entry: Entry) => {
    onDone();
    entry.run();
  };
  return (
    <Autocomplete.Root
      open
      inline
      mode="none"
      items={entries}
      itemToStringValue={({ name }: Entry) => name}
      value={query}
      onValueChange={(next, { reason }) => {
        if (reason !== "item-press") setQuery(next);
      }}
      autoHighlight
    >
      <div className="flex items-center gap-2 border-b border-line px-3">
        <Search aria-hidden className="size-4 shrink-0 text-faint" />
        <Autocomplete.Input
          aria-label={t("title")}
          placeholder={t("placeholder")}
          spellCheck={false}
          className="h-11 min-w-0 flex-1 bg-transparent outline-none placeholder:text-faint"
        />
      </div>
      <Autocomplete.Empty className="px-4 py-6 text-quiet empty:hidden">{t("none")}</Autocomplete.Empty>
      <Autocomplete.List className="min-h-0 flex-1 overflow-y-auto p-1 empty:hidden">
        {(entry: Entry) => (
          <Autocomplete.Item key={entry.name} value={entry} onClick={() => choose(entry)} className="popup-item">
            <span className="min-w-0 flex-1 wrap-anywhere">{entry.name}</span>
            {entry.keys === undefined ? null : <Keys keys={entry.keys} />}
            <span className="w-20 shrink-0 text-right text-xs text-faint">{entry.kind}</span>
          </Autocomplete.Item>
        )}
      </Autocomplete.List>
      <p className="border-t border-line px-3 py-2 text-xs text-faint">{t("how")}</p>
    </Autocomplete.Root>
  );
}

function useEntries(query: string, actions: readonly PaletteAction[]): Entry[] {
  const t = useTranslations("shell");
  const router = useRouter();
  const { shortcuts } = useShortcutRegistry();
  return useMemo(() => {
    const goTo = (href: string) => () => router.push(href);
    const id = idOf(query);
    const kind = t("palette.ids");
    const ids: Entry[] =
      id === undefined
        ? []
        : [
            { name: t("palette.traceId", { id }), kind, run: goTo(traceHref(id)) },
            { name: t("palette.accountId", { id }), kind, run: goTo(accountHref(id)) },
            { name: t("palette.operationId", { id }), kind, run: goTo(operationHref(id)) },
          ];
    const named = [
      ...pages.map(({ name, href, letter }) => ({
        name: t(`pages.${name}`),
        kind: t("palette.pages"),
        keys: `g ${letter}`,
        run: goTo(href),
      })),
      ...shortcuts
        .filter(({ group }) => (group ?? "here") === "here")
        .map(({ keys, label, run }) => ({ name: label, kind: t("palette.actions"), keys, run })),
      ...actions.map(({ name, run }) => ({ name, kind: t("palette.actions"), run })),
    ].filter(({ name }) => matches(name, query));
    // What has a digit is an id before it is a name.
    return /\d/.test(query) ? [...ids, ...named] : [...named, ...ids];
  }, [query, actions, shortcuts, router, t]);
}
