// 控制台全部文字的简体中文；与英文的键和占位符完全一致，由测试保证。
import accounts from "./accounts.json" with { type: "json" };
import acts from "./acts.json" with { type: "json" };
import alerts from "./alerts.json" with { type: "json" };
import deadLetters from "./dead-letters.json" with { type: "json" };
import deductions from "./deductions.json" with { type: "json" };
import faults from "./faults.json" with { type: "json" };
import keys from "./keys.json" with { type: "json" };
import lists from "./lists.json" with { type: "json" };
import operations from "./operations.json" with { type: "json" };
import operators from "./operators.json" with { type: "json" };
import overview from "./overview.json" with { type: "json" };
import pending from "./pending.json" with { type: "json" };
import preferences from "./preferences.json" with { type: "json" };
import prices from "./prices.json" with { type: "json" };
import providers from "./providers.json" with { type: "json" };
import replays from "./replays.json" with { type: "json" };
import shell from "./shell.json" with { type: "json" };
import signIn from "./sign-in.json" with { type: "json" };
import streams from "./streams.json" with { type: "json" };
import trace from "./trace.json" with { type: "json" };
import ui from "./ui.json" with { type: "json" };

export default {
  accounts,
  acts,
  alerts,
  deadLetters,
  deductions,
  faults,
  keys,
  lists,
  operations,
  operators,
  overview,
  pending,
  preferences,
  prices,
  providers,
  replays,
  shell,
  signIn,
  streams,
  trace,
  ui,
};
