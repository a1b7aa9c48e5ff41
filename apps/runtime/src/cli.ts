/**
 * The command line. Commands load their code when they are called, so that each starts with what it needs and nothing else. With
 * `--json`, standard output is one JSON document whatever happens, a failure included; all else goes to standard error.
 */
import { Command, CommanderError, Option } from "commander";
import { accessCommands, operatorsCommands } from "./cli/access.ts";
import { checkCommands } from "./cli/checks.ts";
import { acting, operationCommands, operatorCommands } from "./cli/operator.ts";
import { settingCommands } from "./cli/settings.ts";
import { Problem } from "./problem.ts";

/** Runs the arguments after `drawdown`, and ends the process with the command's exit code. */
export async function main(argv: readonly string[]): Promise<never> {
  process.exit(await run(argv));
}

async function run(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = commands((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    await report(error, argv.includes("--json"));
    return 1;
  }
}

export function commands(finish: (exitCode: number) => void): Command {
  const program = new Command("drawdown")
    .description("Sell metered API traffic against prepaid balances: run it, and look after it.")
    .showHelpAfterError("Run `drawdown --help` for the commands.")
    .exitOverride();

  const command = (nameAndArguments: string, description: string) =>
    program.command(nameAndArguments).description(description);
  const asked = (nameAndArguments: string, description: string) =>
    command(nameAndArguments, description).option("--json", "print one JSON document", false);

  asked(
    "migrate",
    "bring the database to the present schema; safe to run again and from several places at once",
  ).action(async (options) => (await import("./cli/migrate.ts")).migrateCommand(options));
  asked(
    "seed",
    "make demo customers, accounts, keys, providers and prices; run again it adds nothing and renews the secrets",
  )
    .option("--upstream <url>", "address of the provider that the demo providers stand for")
    .action(async (options) => (await import("./cli/seed.ts")).seedCommand(options));

  asked(
    "demo",
    "make data that show every page of the console at work: past charges, dead letters, operations, alerts; run again it adds nothing",
  ).action(async (options) => (await import("./cli/demo.ts")).demoCommand(options));

  command("gateway", "serve traffic and draw its cost down (GATEWAY_PORT)")
    .addOption(portOption())
    .action(async (options) => finish(await (await import("./gateway/process.ts")).gatewayCommand(options)));
  command("worker", "settle deductions into Postgres and apply credits to Redis")
    .addOption(portOption("serve /readyz, /healthz and /metrics on this port"))
    .action(async (options) => finish(await (await import("./worker/process.ts")).workerCommand(options)));
  command(
    "console",
    "serve the operators' pages (CONSOLE_PORT), built first when they are not, or when their sources are newer",
  )
    .addOption(portOption())
    .option("--no-build", "serve the pages as they were built last")
    .action(async (options) => finish(await (await import("./console/process.ts")).consoleCommand(options)));
  command("upstream", "simulate a provider: OpenAI- and Anthropic-shaped, deterministic")
    .addOption(portOption().makeOptionMandatory())
    .action(async (options) => finish(await (await import("./upstream/process.ts")).upstreamCommand(options)));

  asked(
    "balance <id>",
    "show an account's balance in Redis and in Postgres; <id> is the account's or its owner's",
  ).action(async (id, options) => (await import("./cli/balance.ts")).balanceCommand(id, options));
  acting(asked("credit <id> <amount>", "add an amount of units to an account; negative amounts only as adjustment"))
    .addOption(
      new Option("--category <category>", "what kind of credit")
        .choices(["top_up", "refund", "adjustment"])
        .default("top_up"),
    )
    .option("--reference <text>", "the credit's own id elsewhere: the same reference again changes nothing")
    .action(async (id, amount, options) => (await import("./cli/credit.ts")).creditCommand(id, amount, options));
  asked("trace <id>", "follow a deduction, request or stream entry from Redis to the books").action(
    async (id, options) => (await import("./cli/trace.ts")).traceCommand(id, options),
  );
  asked("stats", "streams, lag, pending entries, consumers, dead letters").action(async (options) =>
    (await import("./cli/stats.ts")).statsCommand(options),
  );
  accessCommands(asked, program);
  operatorsCommands(program);
  operatorCommands(asked, finish);
  operationCommands(program);
  settingCommands(asked, program);
  checkCommands(asked, finish, program);
  return program;
}

function portOption(description = "listen on this port"): Option {
  return new Option("--port <n>", description).argParser((text) => {
    const port = Number(text);
    if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
      throw new Problem(`--port must be 1 to 65535, not ${text}.`);
    return port;
  });
}

async function report(error: unknown, json: boolean): Promise<void> {
  const { describe } = await import("./cli/failure.ts");
  const { message, code, detail } = describe(error);
  // Commander has said its own already, with the way to the help.
  if (!(error instanceof CommanderError))
    process.stderr.write(`${message}\n${detail === undefined ? "" : `${detail}\n`}`);
  if (json) {
    const { print } = await import("./cli/output.ts");
    print(JSON.stringify({ error: { code, message } }));
  }
}
