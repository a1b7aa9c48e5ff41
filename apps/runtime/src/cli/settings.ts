/** The commands that set what calls cost, where they are sent, and what an account may do. */
import { type Command, Option } from "commander";
import { Problem } from "../problem.ts";
import { moment } from "./moment.ts";
import { acting, whole } from "./operator.ts";

/** Adds them. `asked` makes a command with `--json` below the program. */
export function settingCommands(
  asked: (nameAndArguments: string, description: string) => Command,
  program: Command,
): void {
  for (const [name, description] of [
    ["freeze", "refuse an account's new requests until it is unfrozen; credits and open holds go on"],
    ["unfreeze", "let a frozen account make requests again"],
  ] as const)
    acting(asked(`${name} <id>`, description)).action(async (id, options) =>
      (await import("./accounts.ts")).freezeCommand(name, id, options),
    );
  acting(asked("credit-limit <id> <units>", "set how far below zero an account may go")).action(
    async (id, limit, options) => (await import("./accounts.ts")).creditLimitCommand(id, limit, options),
  );
  priceCommands(below(program.command("prices").description("list, set and remove what calls cost")));
  providerCommands(below(program.command("providers").description("list, set and remove where calls are sent")));
}

type Asked = (nameAndArguments: string, description: string) => Command;

function below(group: Command): Asked {
  return (nameAndArguments, description) =>
    group.command(nameAndArguments).description(description).option("--json", "print one JSON document", false);
}

function priceCommands(asked: Asked): void {
  asked("list", "list price rows, by model, the newest first")
    .option("--provider <name>", "only of this provider")
    .option("--model <text>", "only models with this in their name")
    .addOption(whole("--limit <n>", "so many", 1).default(100))
    .option("--after <id>", "go on after the last price of the page before")
    .action(async (options) => (await import("./prices.ts")).listPricesCommand(options));
  acting(asked("set <provider> <model>", "set a price from a moment on; older rows stay, to explain older calls"))
    .addOption(
      new Option("--price-model <model>", "by default what the prices given say").choices([
        "per_token",
        "per_input_output",
        "per_request",
      ]),
    )
    .option("--token <price>", "of any token: units of the currency, up to 12 decimals")
    .option("--input <price>", "of an input token")
    .option("--output <price>", "of an output token")
    .option("--cached-input <price>", "of a cached input token; by default the input's")
    .option("--cache-write <price>", "of an input token written to the cache; by default the input's")
    .option("--cache-write-1h <price>", "of one written for an hour")
    .option("--request <price>", "of a request")
    .option("--currency <code>", "by default USD")
    .option("--customer-type <id>", "only for customers of this type")
    .addOption(moment("--from <when>", "by default now: ISO 8601, or in 30d, 12h, 15m", 1))
    .addOption(hours())
    .addOption(json("--tiers <json>", "prices above a number of input tokens"))
    .addOption(json("--details <json>", "prices of audio, images and reasoning"))
    .addOption(json("--match <json>", "which other names mean this model"))
    .action(async (provider, model, options) =>
      (await import("./prices.ts")).setPriceCommand(provider, model, options),
    );
  acting(asked("remove <id>", "remove a price row; the next older one holds from now on")).action(async (id, options) =>
    (await import("./prices.ts")).removePriceCommand(id, options),
  );
}

function providerCommands(asked: Asked): void {
  asked("list", "list where calls are sent").action(async (options) =>
    (await import("./prices.ts")).listProvidersCommand(options),
  );
  acting(asked("set <name>", "add a provider, or set it anew"))
    .requiredOption("--base-url <url>", "where its API begins")
    .addOption(
      new Option("--shape <shape>", "whose API it speaks").choices(["openai", "anthropic"]).makeOptionMandatory(),
    )
    .option("--api-key-env <name>", "the environment variable that has its key; never the key itself")
    .action(async (name, options) => (await import("./prices.ts")).setProviderCommand(name, options));
  acting(asked("remove <name>", "remove a provider: calls to it are refused, its prices stay")).action(
    async (name, options) => (await import("./prices.ts")).removeProviderCommand(name, options),
  );
}

function json(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new Problem(`${flags.split(" ")[0]} must be JSON.`);
    }
  });
}

function hours(): Option {
  return new Option("--window <start-end>", "only in these hours of the day, UTC: 08:00-18:00").argParser((text) => {
    const [, start, end] = /^(\d{2}:\d{2}(?::\d{2})?)-(\d{2}:\d{2}(?::\d{2})?)$/.exec(text) ?? [];
    if (start === undefined || end === undefined)
      throw new Problem(`--window must be hours like 08:00-18:00, not ${text}.`);
    return { start, end };
  });
}
