"use client";

import { useTranslations } from "use-intl";
import { faultOf } from "@/console/fault.ts";
import { useShellFigures } from "@/console/shell-figures.ts";
import { ErrorBar, ErrorState } from "@/ui/states.tsx";

const stores = { redis: "Redis", postgres: "Postgres" } as const;

/** Says what failed and what can be done; `beside` what is kept, as a bar, else in its place. */
export function FaultNotice({ error, beside = false }: { error: unknown; beside?: boolean }) {
  const t = useTranslations("faults");
  const { kind: told, message, retrying } = faultOf(error);
  // A line that is refused does not say why; what the frame asks for does.
  const { fault: known } = useShellFigures();
  const kind = told === "offline" && known !== undefined ? known : told;
  const title = t(`${kind}.title`);
  const help = kind === "refused" || kind === "forbidden" ? message : t(`${kind}.help`);
  if (beside)
    return (
      <ErrorBar title={title} retries={retrying}>
        {help}
      </ErrorBar>
    );
  return (
    <ErrorState
      title={title}
      store={kind === "redis" || kind === "postgres" ? stores[kind] : undefined}
      retries={retrying}
    >
      {help}
    </ErrorState>
  );
}
