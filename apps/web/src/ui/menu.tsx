"use client";

/** Acts and ways to go; a menu's children are MenuItem, MenuLink, MenuChoice, MenuSeparator. */
import { openedOnDemand, part } from "@/ui/on-demand.tsx";

const load = () => import("@/ui/menu-parts.tsx");

export const Menu = openedOnDemand(async () => (await load()).Menu, "menu");
export const MenuItem = part(async () => (await load()).MenuItem);
export const MenuLink = part(async () => (await load()).MenuLink);
export const MenuChoice = part(async () => (await load()).MenuChoice);
export const MenuSeparator = part(async () => (await load()).MenuSeparator);
