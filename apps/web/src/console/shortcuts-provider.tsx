"use client";

// Every shortcut of the page that is open: pages add theirs with useShortcuts while they are mounted. Nothing fires while a dialog is open,
// nor what a control has already taken.
import { createContext, type ReactNode, use, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { advance, isTyping, strokeText } from "@/console/shortcuts.ts";

const SEQUENCE_MS = 1_500;

export type ShortcutGroup = "go" | "lists" | "everywhere" | "here";

export type Shortcut = {
  /** "g a", "/", "mod+k": see shortcuts.ts. */
  keys: string;
  /** As `?` and the palette name it. */
  label: string;
  group?: ShortcutGroup | undefined;
  run: () => void;
};

type Registry = {
  shortcuts: readonly Shortcut[];
  add: (shortcuts: readonly Shortcut[]) => () => void;
};

const Known = createContext<Registry | undefined>(undefined);

export function useShortcutRegistry(): Registry {
  const registry = use(Known);
  if (registry === undefined) throw new Error("Shortcuts belong to pages of the console.");
  return registry;
}

/** Adds shortcuts while the component is mounted. The list should be memoized; a later one of the same keys takes the place of an earlier. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const { add } = useShortcutRegistry();
  useEffect(() => add(shortcuts), [add, shortcuts]);
}

export function ShortcutsProvider({ children }: { children: ReactNode }) {
  const [lists, setLists] = useState<readonly (readonly Shortcut[])[]>([]);
  // The same function for good: what it adds must not make those who added it add again.
  const add = useCallback((list: readonly Shortcut[]) => {
    setLists((before) => [...before, list]);
    return () => setLists((before) => before.filter((other) => other !== list));
  }, []);
  const registry = useMemo<Registry>(() => {
    const latest = new Map(lists.flat().map((shortcut) => [shortcut.keys, shortcut]));
    return { shortcuts: [...latest.values()], add };
  }, [lists, add]);
  const current = useRef(registry.shortcuts);
  useEffect(() => {
    current.current = registry.shortcuts;
  }, [registry.shortcuts]);
  useEffect(() => listen(() => current.current), []);
  return <Known value={registry}>{children}</Known>;
}

function listen(shortcuts: () => readonly Shortcut[]): () => void {
  let pending: readonly string[] = [];
  let pressedAt = 0;
  const pressed = (event: KeyboardEvent) => {
    const stroke = strokeText(event);
    if (stroke === undefined || event.defaultPrevented || event.repeat) return;
    const withMod = stroke.startsWith("mod+");
    if (
      !withMod &&
      (typesInto(event.target) || document.querySelector("[role=dialog], [role=alertdialog], [role=menu]"))
    )
      return;
    if (event.timeStamp - pressedAt > SEQUENCE_MS) pending = [];
    pressedAt = event.timeStamp;
    const known = shortcuts();
    const next = advance(
      pending,
      stroke,
      known.map(({ keys }) => keys),
    );
    ({ pending } = next);
    if (next.fired === undefined) return;
    event.preventDefault();
    known.find(({ keys }) => keys === next.fired)?.run();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}

function typesInto(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  const { tagName, isContentEditable } = target;
  return isTyping({ tagName, editable: isContentEditable, role: target.role, type: target.getAttribute("type") });
}
