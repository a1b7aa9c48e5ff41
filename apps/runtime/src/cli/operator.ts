/** The commands of those who look after the streams: what did not settle, settling it again, cleaning up, giving money back. */
import { userInfo } from "node:os";
import { type Command, Option } from "commander";
import { Problem } from "../problem.ts";
import { moment } from "./moment.ts";

/** Adds them. `asked` makes a command with `--json`, `finish` takes a command's exit code. */
export function operatorCommands(
  asked: (nameAndArguments: string, description: string) => Command,
  finish: (exitCode: number) => void,
): void {
  const filtered = (command: Command, what: string) =>
    command
      .option("--id <id...>", `only these ${what}`)
      .addOption(shards())
      .addOption(number("--older-than <seconds>", "only what is at least so old"));

  filtered(asked("pending", "list what was delivered and not acked"), "entries (stream entry or deduction ids)")
    .option("--consumer <name>", "only what this consumer holds")
    .addOption(whole("--limit <n>", "the first so many", 1).default(10_000))
    .action(async (options) => (await import("./pending.ts")).pendingCommand(options));
  filtered(asked("dead-letters", "list what could not be settled"), "letters (letter, stream entry or deduction ids)")
    .addOption(new Option("--state <state>", "only these").choices([...letterStates, "all"]).default("open"))
    .option("--error-class <class>", "only failures of this class")
    .addOption(whole("--limit <n>", "the newest so many", 1).default(1_000))
    .option("--after <id>", "go on after the last letter of the page before")
    .action(async (options) => (await import("./dead-letters.ts")).deadLettersCommand(options));
  acting(filtered(asked("replay", "settle again what did not settle; never charges twice"), "targets"))
    .option("--pending", "what dead consumers hold", false)
    .option("--dead-letters", "open dead letters", false)
    .option("--unaccounted", "what was acked and is not in the books", false)
    .option("--failed-of <operation>", "what failed of an earlier replay, wherever it is by now")
    .option("--ids-from <file>", "ids from a file, one a line; - is standard input")
    .option("--error-class <class>", "only dead letters of this class")
    .option("--account <id>", "only dead letters of this account")
    .addOption(moment("--from <when>", "only dead letters kept since then", -1))
    .addOption(moment("--to <when>", "only dead letters kept before then", -1))
    .option("--consumer <name>", "only pending entries that this consumer holds")
    .addOption(whole("--limit <n>", "the first so many", 1))
    .option("--dry-run", "say what each target is, and do nothing", false)
    .option("--yes", "do not ask first", false)
    .action(async (options) => finish(await (await import("./replay.ts")).replayCommand(options)));
  for (const [name, description] of [
    ["discard", "set dead letters aside; restore undoes it"],
    ["restore", "take discarded dead letters back"],
  ] as const)
    acting(asked(name, description))
      .option("--id <id...>", "ids of dead letters")
      .option("--ids-from <file>", "their ids from a file, one a line; - is standard input")
      .action(async (options) => finish(await (await import("./discard.ts")).moveCommand(name, options)));
  acting(asked("cleanup", "remove what is proven settled and old enough from the streams"))
    .addOption(number("--max-age-hours <n>", "younger entries stay (CLEANUP_MAX_AGE_HOURS)"))
    .addOption(whole("--max-per-shard <n>", "entries in one step (CLEANUP_BATCH_SIZE)", 1))
    .addOption(moment("--before <when>", "in place of an age, the moment itself: what a dry run said as cut_off", -1))
    .addOption(shards())
    .option("--dry-run", "count, and remove nothing", false)
    .action(async (options) => (await import("./cleanup.ts")).cleanupCommand(options));
  acting(asked("refund <deduction>", "give a settled charge back, or a part of it"))
    .option("--amount <units>", "by default all that was not given back yet")
    .action(async (deduction, options) => (await import("./refund.ts")).refundCommand(deduction, options));
  asked("uncaptured", "list what was served by a gateway that died before it could charge it")
    .option("--account <id>", "only this account's")
    .addOption(whole("--limit <n>", "the newest so many", 1).default(100))
    .action(async (options) => (await import("./uncaptured.ts")).uncapturedCommand(options));
}

/** Adds `retention` and what is below it. */
export function retentionCommands(program: Command, finish: (exitCode: number) => void): void {
  const group = program
    .command("retention")
    .description("take old rows out of the books into files, and check the files");
  const asked = (name: string, description: string) =>
    group
      .command(name)
      .description(description)
      .option("--directory <path>", "where the files are (RETENTION_DIR)")
      .option("--json", "print one JSON document", false);
  acting(
    asked("run", "export and remove the deductions that are old enough; every chain goes on from a closing balance"),
  )
    .addOption(whole("--older-than-days <n>", "younger rows stay (RETENTION_DAYS)", 1))
    .addOption(moment("--before <when>", "in place of an age, the moment itself: what a dry run said as before", -1))
    .option("--dry-run", "count, and remove nothing", false)
    .action(async (options) => (await import("./retention.ts")).retentionCommand(options));
  asked("verify", "check every file against its checksum and every closing balance against its file").action(
    async (options) => finish(await (await import("./retention.ts")).verifyRetentionCommand(options)),
  );
}

/** Adds `operations` and what is below it. */
export function operationCommands(program: Command): void {
  const group = program.command("operations").description("list acts of operators; pause, resume or abort bulk acts");
  const asked = (nameAndArguments: string, description: string) =>
    group.command(nameAndArguments).description(description).option("--json", "print one JSON document", false);
  asked("list", "what was done, by whom and why, the newest first")
    .option("--by <actor>", "only of this operator")
    .option("--action <action>", "only acts of this kind")
    .option("--unfinished", "only what is not over", false)
    .addOption(whole("--limit <n>", "the newest so many", 1).default(50))
    .option("--after <id>", "go on after the last act of the page before")
    .action(async (options) => (await import("./operations.ts")).listOperationsCommand(options));
  asked("show <id>", "one act with what became of each of its targets")
    .addOption(whole("--limit <n>", "the first so many targets", 1).default(1_000))
    .addOption(whole("--after-item <n>", "go on after this target", 0))
    .action(async (id, options) => (await import("./operations.ts")).showOperationCommand(id, options));
  for (const [name, description] of [
    ["pause", "hold a bulk act up before its next step"],
    ["resume", "go on with a paused one"],
    ["abort", "end it: what is done stays done, the rest stays as it was"],
  ] as const)
    acting(asked(`${name} <id>`, description)).action(async (id, options) =>
      (await import("./operations.ts")).controlCommand(name, id, options),
    );
}

const letterStates = ["open", "discarded", "replayed"] as const;

/** Adds who and why. */
export function acting(command: Command): Command {
  return command
    .option("--reason <text>", "why; it is kept with the act")
    .option("--actor <name>", "who does it; by default the name you are signed in with", operatingUser());
}

function number(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    if (!/^\d{1,9}(\.\d{1,6})?$/.test(text)) throw new Problem(`${flags.split(" ")[0]} must be a number, not ${text}.`);
    return Number(text);
  });
}

export function whole(flags: string, description: string, least: number): Option {
  return new Option(flags, description).argParser((text) => readWhole(flags, text, least));
}

function readWhole(flags: string, text: string, least: number): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw new Problem(`${flags.split(" ")[0]} must be a whole number of at least ${least}, not ${text}.`);
  return Number(text);
}

function shards(): Option {
  const flags = "--shard <n>";
  return new Option(flags, "only this shard; may be given again").argParser((text, before: number[] | undefined) => [
    ...(before ?? []),
    readWhole(flags, text, 0),
  ]);
}

/** A process may run under a number that has no name. */
function operatingUser(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? "unknown"}`;
  }
}
