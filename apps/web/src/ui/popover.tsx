"use client";

import { openedOnDemand } from "@/ui/on-demand.tsx";

/** A small panel beside what opened it. */
export const Popover = openedOnDemand(async () => (await import("@/ui/popover-parts.tsx")).Popover, "dialog");
