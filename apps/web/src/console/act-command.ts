"use client";

// The equivalent command of an act, for its dialog to show and copy: `command={useCommand({ act: "refund", deductionId })}`.
import { type CommandAct, commandFor } from "@drawdown/billing/command-line";
import { useOperator } from "@/console/operator.tsx";

/** Runs in a checkout as it is, with nothing on the path. */
export const PROGRAM = "npm run drawdown --";

/** With the reason as it stands, as the operator who is signed in here. Undefined for what no command can be given. */
export function useCommand(act: CommandAct | undefined): ((reason: string) => string) | undefined {
  const { email } = useOperator();
  if (act === undefined || !canBeGiven(act)) return undefined;
  return (reason) => commandFor(act, { reason: reason.replaceAll("\0", ""), actor: email, program: PROGRAM });
}

function canBeGiven(act: CommandAct): boolean {
  try {
    return commandFor(act, { reason: "" }) !== "";
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
