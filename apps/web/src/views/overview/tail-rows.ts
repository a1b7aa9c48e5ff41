"use client";

// A tail that never moves under its reader: while he points at it, is in it, or has selected some of it, what comes waits.
import { useEffect, useRef, useState } from "react";
import type { OverviewFrame } from "@/server/overview-router.ts";

type Row = OverviewFrame["deductions"][number];

const SHOWN = 10;
/** Beyond it nobody reads on; the list of deductions has them all. */
const WAITING = 500;

type Rows = { shown: Row[]; waiting: Row[] };

export function useTail() {
  const [rows, setRows] = useState<Rows>({ shown: [], waiting: [] });
  const paused = useRef(false);
  const [isPaused, setIsPaused] = useState(false);
  const add = (news: Row[]) => {
    if (news.length > 0) setRows((before) => added(before, news, paused.current));
  };
  const show = () =>
    setRows((before) => added({ shown: merged(before.waiting, before.shown, SHOWN), waiting: [] }, [], false));
  const setPaused = (now: boolean) => {
    if (paused.current === now) return;
    paused.current = now;
    setIsPaused(now);
    if (!now) show();
  };
  return { ...rows, paused: isPaused, add, show, setPaused };
}

function added({ shown, waiting }: Rows, news: Row[], paused: boolean): Rows {
  // The first rows are no news.
  if (paused && shown.length > 0) return { shown, waiting: merged(news, waiting, WAITING) };
  return { shown: merged([...news, ...waiting], shown, SHOWN), waiting: [] };
}

/** Newest first; a row that is given twice, after the line was down, stands once. */
function merged(news: Row[], rows: Row[], most: number): Row[] {
  const each = new Map([...news, ...rows].map((row) => [row.id, row]));
  return [...each.values()].slice(0, most);
}

/** Whether the reader is with what is in the element: pointing, with the focus in it, or with some of it selected. */
export function useAttention(
  element: React.RefObject<HTMLElement | null>,
  onChange: (attentive: boolean) => void,
): void {
  const told = useRef(onChange);
  useEffect(() => {
    told.current = onChange;
  });
  useEffect(() => {
    const within = element.current;
    if (within === null) return;
    const judge = () => {
      const selection = document.getSelection();
      const selects =
        selection !== null &&
        !selection.isCollapsed &&
        selection.rangeCount > 0 &&
        within.contains(selection.anchorNode);
      told.current(selects || within.matches(":hover") || within.contains(document.activeElement));
    };
    const later = () => void setTimeout(judge); // the focus is on its way
    const events = ["pointerenter", "pointerleave", "focusin", "focusout"] as const;
    for (const event of events) within.addEventListener(event, later);
    document.addEventListener("selectionchange", judge);
    return () => {
      for (const event of events) within.removeEventListener(event, later);
      document.removeEventListener("selectionchange", judge);
    };
  }, [element]);
}
