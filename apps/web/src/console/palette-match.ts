/** What was typed or pasted, as an id: no spaces within; undefined when it cannot be one. */
export function idOf(query: string): string | undefined {
  const id = query.trim();
  return id === "" || /\s/.test(id) ? undefined : id;
}

/** Whether each word of the query begins a word of the name or, where words are not set apart, stands in it. */
export function matches(name: string, query: string): boolean {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const starts = name.toLowerCase().split(/[\s,.…:()/-]+/);
  return words.every((word) =>
    starts.some((start) => start.startsWith(word) || (/[^\x20-\x7e]/.test(start) && start.includes(word))),
  );
}
