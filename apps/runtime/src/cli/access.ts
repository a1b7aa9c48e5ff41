/** The commands about who may use the gateway and the console: keys with their limits, why requests were refused, operators. */
import type { Command } from "commander";
import { Argument, Option } from "commander";
import { Problem } from "../problem.ts";
import { moment } from "./moment.ts";
import { acting } from "./operator.ts";

const clearable = ["name", "expires", "models", "spend-limit", "rpm", "hold-policy", "leave-policy"] as const;

/** What a key may do. */
function limits(command: Command): Command {
  return command
    .option("--name <text>", "what it is called in lists")
    .addOption(moment("--expires <when>", "from then on it is refused: ISO 8601, or in 30d, 12h, 15m", 1))
    .addOption(
      new Option("--models <names>", "only these, with commas between; gpt-4o* is all that begin so").argParser(
        (text) => text.split(",").map((name) => name.trim()),
      ),
    )
    .option("--spend-limit <units>", "the most that it draws in a period")
    .addOption(new Option("--spend-period <period>", "of UTC").choices(["day", "week", "month"]))
    .addOption(
      new Option("--rpm <n>", "requests in any 60 seconds").argParser((text) => {
        if (!/^[1-9]\d{0,5}$/.test(text)) throw new Problem(`--rpm must be a whole number from 1, not ${text}.`);
        return Number(text);
      }),
    )
    .addOption(
      new Option("--hold-policy <policy>", "when less is available than a call may cost: hold that, or refuse").choices(
        ["available", "worst_case"],
      ),
    )
    .addOption(
      new Option("--leave-policy <policy>", "when a client leaves a stream: read the provider on, or cut it").choices([
        "drain",
        "cut",
      ]),
    );
}

/** Adds them. `asked` makes a command with `--json` below the program. */
export function accessCommands(
  asked: (nameAndArguments: string, description: string) => Command,
  program: Command,
): void {
  const keys = program.command("keys").description("make, list, change and revoke API keys");
  const askedKeys = (nameAndArguments: string, description: string) =>
    keys.command(nameAndArguments).description(description).option("--json", "print one JSON document", false);
  limits(acting(askedKeys("create", "make a key; its secret is shown this once")))
    .option("--account <id>", "who pays: the account's or its owner's id")
    .option("--user <id>", "whose key it is; needed where an account has several users")
    .action(async (options) => (await import("./keys.ts")).createKeyCommand(options));
  limits(acting(askedKeys("update <key>", "change what a key may do; every gateway knows within a second")))
    .addOption(new Option("--clear <what...>", "take a limit away").choices(clearable))
    .action(async (key, options) => (await import("./keys.ts")).updateKeyCommand(key, options));
  askedKeys("list", "list keys and their limits; never a secret")
    .option("--account <id>", "only those that this account pays for")
    .action(async (options) => (await import("./keys.ts")).listKeysCommand(options));
  acting(askedKeys("revoke <key>", "revoke a key, for ever; every gateway knows within a second")).action(
    async (key, options) => (await import("./keys.ts")).revokeKeyCommand(key, options),
  );
  asked("refusals", "show why requests were refused with 402: the figures of that moment")
    .requiredOption("--account <id>", "the account's or its owner's id")
    .addOption(moment("--since <when>", "only from then on: ISO 8601, or 30d, 12h, 15m ago", -1))
    .action(async (options) => (await import("./refusals.ts")).refusalsCommand(options));
}

const roles = ["viewer", "support", "admin"];

/** Adds those about operators below the program. */
export function operatorsCommands(program: Command): void {
  const operators = program.command("operators").description("make and manage those who may sign in to the console");
  const asked = (nameAndArguments: string, description: string) =>
    operators.command(nameAndArguments).description(description).option("--json", "print one JSON document", false);
  const load = () => import("./operators.ts");
  asked("list", "list operators, their roles and open sessions").action(async (options) =>
    (await load()).listOperatorsCommand(options),
  );
  acting(asked("create <email>", "make an operator; the temporary password is shown this once"))
    .addOption(new Option("--role <role>", "what the operator may do").choices(roles).default("viewer"))
    .option("--name <text>", "as shown beside what the operator does")
    .action(async (email, options) => (await load()).createOperatorCommand(email, options));
  acting(
    asked("role <operator>", "set what an operator may do").addArgument(new Argument("<role>").choices(roles)),
  ).action(async (who, role, options) => (await load()).setRoleCommand(who, role, options));
  acting(asked("disable <operator>", "sign an operator out everywhere, and refuse the next sign-in")).action(
    async (who, options) => (await load()).enableCommand(who, false, options),
  );
  acting(asked("enable <operator>", "let a disabled operator sign in again")).action(async (who, options) =>
    (await load()).enableCommand(who, true, options),
  );
  acting(asked("sign-out <operator>", "end every session of an operator")).action(async (who, options) =>
    (await load()).signOutCommand(who, options),
  );
  acting(
    asked("reset-password <operator>", "set a temporary password, shown this once, and sign out everywhere"),
  ).action(async (who, options) => (await load()).resetPasswordCommand(who, options));
}
