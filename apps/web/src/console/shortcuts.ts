// Keys as text: "?", "mod+k" (⌘ or Ctrl), "g a" (one after the other). What is typed into a field is never a shortcut, but for those with
// mod, which type nothing.

export type Stroke = { key: string; ctrlKey: boolean; metaKey: boolean; altKey: boolean };

/** "mod+k", "g", "?"; undefined for what is part of no shortcut: a modifier alone, Alt. */
export function strokeText({ key, ctrlKey, metaKey, altKey }: Stroke): string | undefined {
  if (altKey || key.length !== 1) return key === "Enter" ? "enter" : undefined;
  const letter = key === " " ? "space" : key.toLowerCase();
  return ctrlKey || metaKey ? `mod+${letter}` : letter;
}

export type Advance = { pending: readonly string[]; fired?: string };

/** One stroke further: fires a shortcut that is complete, waits for one that has begun, else begins anew with this stroke. */
export function advance(pending: readonly string[], stroke: string, known: readonly string[]): Advance {
  const typed = [...pending, stroke];
  const text = typed.join(" ");
  if (known.includes(text)) return { pending: [], fired: text };
  if (known.some((keys) => keys.startsWith(`${text} `))) return { pending: typed };
  return pending.length === 0 ? { pending: [] } : advance([], stroke, known);
}

/** Whether keys pressed there are text or belong to the control. */
export function isTyping(target: {
  tagName: string;
  type?: string | null;
  editable: boolean;
  role: string | null;
}): boolean {
  if (target.editable || target.role === "textbox" || target.role === "combobox" || target.role === "searchbox")
    return true;
  if (target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && !["checkbox", "radio", "button", "submit"].includes(target.type ?? "text");
}
