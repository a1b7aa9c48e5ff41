"use client";

// Dialogs and sheets. Each has a title, a way to close it, and room for a long text at 320 px: the body scrolls, head and foot stay.
import { openedOnDemand } from "@/ui/on-demand.tsx";

const load = () => import("@/ui/dialog-parts.tsx");

export const Dialog = openedOnDemand(async () => (await load()).Dialog, "dialog");
/** A panel from the edge: the menu of a narrow page, a row's details. */
export const Sheet = openedOnDemand(async () => (await load()).Sheet, "dialog");
