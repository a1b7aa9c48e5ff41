// A copied command line as an operator runs it: in a shell, whatever a reason holds.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { bin } from "./stage.ts";

export const reason = "it's due: $(touch /tmp/pwned) `id`\n\u202e<b>余额</b> \u001b[201~";

/** Runs a line in a shell, where `drawdown` is what it is for an operator. */
export async function shell(line: string, env: Record<string, string>): Promise<string> {
  const script = `drawdown() { node '${bin}' "$@"; }\n${line}\n`;
  const inherited = { PATH: process.env["PATH"], HOME: process.env["HOME"] };
  const { stdout } = await promisify(execFile)("sh", ["-c", script], { env: { ...inherited, ...env } });
  return stdout;
}
