"use client";

// Short news of what was done. Any code says `showToast`; the root layout has the one region that shows them, whose code comes with the
// first. What an operator must not miss belongs into the page, not here.
import { lazy, type ReactNode, Suspense, useSyncExternalStore } from "react";
import type { Tone } from "@/ui/tone.ts";

export type ToastText = {
  title: string;
  description?: ReactNode;
  /** What went wrong stays until it is closed. */
  tone?: Exclude<Tone, "neutral"> | undefined;
  action?: { label: string; onSelect: () => void } | undefined;
};

let listener: ((text: ToastText) => void) | undefined;
let waiting: ToastText[] = [];
let wanted = false;
const watchers = new Set<() => void>();

export function showToast(text: ToastText): void {
  if (listener) return listener(text);
  waiting.push(text);
  wanted = true;
  for (const watcher of watchers) watcher();
}

/** For the region: what waits, then everything that comes. Returns how to end it. */
export function listenToToasts(listen: (text: ToastText) => void): () => void {
  listener = listen;
  for (const text of waiting) listen(text);
  waiting = [];
  return () => {
    listener = undefined;
  };
}

const Region = lazy(async () => ({ default: (await import("@/ui/toast-region.tsx")).ToastList }));

export function ToastRegion() {
  const shown = useSyncExternalStore(
    watch,
    () => wanted,
    () => false,
  );
  return <Suspense fallback={null}>{shown ? <Region /> : null}</Suspense>;
}

function watch(changed: () => void): () => void {
  watchers.add(changed);
  return () => watchers.delete(changed);
}
