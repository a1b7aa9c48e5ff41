/** The commands that prove the books, put them right and keep them small: verify-chain, accept, reconcile, repair, retention. */
import type { Command } from "commander";
import { acting, retentionCommands } from "./operator.ts";

/** Adds them. `asked` makes a command with `--json`, `finish` takes a command's exit code. */
export function checkCommands(
  asked: (nameAndArguments: string, description: string) => Command,
  finish: (exitCode: number) => void,
  program: Command,
): void {
  retentionCommands(program, finish);
  asked("verify-chain", "prove that no movement of any balance is missing; exit code 1 when one is")
    .option("--account <id>", "only this account, by its id or its owner's")
    .action(async (options) => finish(await (await import("./verify-chain.ts")).verifyChainCommand(options)));
  acting(asked("accept", "accept a gap, fork or mismatch that really happened: shown for ever, no longer an alarm"))
    .requiredOption("--account <id>", "the account, by its id or its owner's")
    .requiredOption("--seqs <n[-m]>", "exactly the seqs of the break, like 12 or 12-15")
    .action(async (options) => (await import("./accept.ts")).acceptCommand(options));
  asked("reconcile", "compare every loaded account with its books to the nano; exit code 1 when something is wrong")
    .option("--account <id>", "only this account, by its id or its owner's")
    .action(async (options) => finish(await (await import("./reconcile.ts")).reconcileCommand(options)));
  acting(asked("repair", "set an account in Redis to what the books say, by a link that says so"))
    .requiredOption("--account <id>", "the account, by its id or its owner's")
    .option("--write-off <id...>", "dead letters of it that can never settle: their cost is given back")
    .option("--dry-run", "say what it would do, and do nothing", false)
    .option("--yes", "do not ask first", false)
    .action(async (options) => finish(await (await import("./repair.ts")).repairCommand(options)));
}
