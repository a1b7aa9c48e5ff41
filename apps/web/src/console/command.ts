// An act as a command line to copy.

/** Quoted where a shell would read it as something else. */
export function commandLine(...words: readonly string[]): string {
  return ["drawdown", ...words].map(quoted).join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
