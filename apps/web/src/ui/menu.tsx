"use client";

/** Acts and ways to go; a menu's children are MenuItem and MenuSeparator. */
import { openedOnDemand, part } from "@/ui/on-demand.tsx";

const load = () => import("@/ui/menu-parts.tsx");

export const Menu = openedOnDemand(async () => (await load()).Menu, "menu");
export const MenuItem = part(async () => (await load()).MenuItem);
export const MenuSeparator = part(async () => (await load()).MenuSeparator);
