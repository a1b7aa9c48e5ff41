"use client";

// What an address names behind its # may not be there yet when the page opens: live pages draw it later.
import { useEffect } from "react";

/** Brings it into view once, as soon as the page has it. */
export function useHashTarget(ready: boolean): void {
  useEffect(() => {
    if (!ready) return;
    const id = decodeURIComponent(window.location.hash.slice(1));
    if (id !== "") document.getElementById(id)?.scrollIntoView({ block: "start" });
  }, [ready]);
}
