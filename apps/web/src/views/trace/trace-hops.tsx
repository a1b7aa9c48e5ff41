"use client";

// The way of a deduction, from its hold to the trimming of its entry. Where the money moves, the balance stands before and after it; a hop
// that is not there is drawn as missing, with what can be done.
import type { Hop } from "@drawdown/billing";
import { clsx } from "clsx";
import { ArrowRight, Check, CircleDashed, Clock, Minus } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import type { ReplayChoice } from "@/server/replays-router.ts";
import type { Traced } from "@/server/trace-router.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Duration, Moment } from "@/ui/moment.tsx";
import { HopAct } from "@/views/trace/hop-act.tsx";
import { HopDetail } from "@/views/trace/hop-detail.tsx";
import { type HopLook, isTooOld, lookOf, storyOf } from "@/views/trace/trace-story.ts";

type Props = { traced: Traced; onReplay: (choice: ReplayChoice) => void };

export function TraceHops({ traced, onReplay }: Props) {
  const { hops } = traced;
  // Where it stopped is where to act.
  const stopped = hops.find((hop) => !hop.reached && !isNeedless(hop, traced));
  return (
    <ol className="grid">
      {hops.map((hop, at) => (
        <HopLine key={hop.name} hop={hop} traced={traced} stopped={hop === stopped} last={at === hops.length - 1}>
          {hop === stopped && <HopAct traced={traced} onReplay={onReplay} />}
        </HopLine>
      ))}
    </ol>
  );
}

const marks: Record<HopLook, { icon: typeof Check; className: string }> = {
  reached: { icon: Check, className: "border-ok bg-ok-soft text-ok" },
  none: { icon: Minus, className: "border-line-mid text-faint" },
  waits: { icon: Clock, className: "border-line-mid border-dashed text-quiet" },
  missing: { icon: CircleDashed, className: "border-critical border-dashed bg-critical-soft text-critical" },
};

type LineProps = { hop: Hop; traced: Traced; stopped: boolean; last: boolean; children: ReactNode };

function HopLine({ hop, traced, stopped, last, children }: LineProps) {
  const t = useTranslations("trace");
  const look = lookOf(hop, traced);
  const { icon: Icon, className } = marks[look];
  return (
    <li className="grid grid-cols-[1.5rem_minmax(0,1fr)] gap-x-3" data-hop={hop.name} data-look={look}>
      <div className="flex flex-col items-center">
        <span className={clsx("flex size-6 shrink-0 items-center justify-center rounded-full border", className)}>
          <Icon aria-hidden className="size-3.5" />
        </span>
        {!last && (
          <span
            aria-hidden
            className={clsx("w-px flex-1", look === "reached" ? "bg-ok" : "border-s border-dashed border-line-mid")}
          />
        )}
      </div>
      <div className={clsx("min-w-0", !last && "pb-5")}>
        <div className="flex flex-wrap items-baseline gap-x-3">
          <h3 className={clsx("text-sm font-semibold", look !== "reached" && "text-quiet")}>{hop.name}</h3>
          {look !== "reached" && <Badge tone={look === "missing" ? "critical" : "neutral"}>{t(`look.${look}`)}</Badge>}
          {hop.at !== null && (
            <Moment at={new Date(hop.at)} precision="milliseconds" className="text-xs text-quiet tabular-nums" />
          )}
          <Since milliseconds={hop.sincePreviousMs} />
        </div>
        <Money hop={hop} traced={traced} />
        <HopDetail hop={hop} />
        <Advice hop={hop} look={look} stopped={stopped} traced={traced} />
        {children}
      </div>
    </li>
  );
}

/** The clocks of two machines may disagree: then a hop seems to come before the one that it follows. */
function Since({ milliseconds }: { milliseconds: number | null }) {
  const t = useTranslations("trace");
  if (milliseconds === null) return null;
  return (
    <span className="text-xs text-faint">
      {milliseconds < 0 ? (
        t("otherClock", { milliseconds: -milliseconds })
      ) : (
        <>
          +<Duration milliseconds={milliseconds} />
        </>
      )}
    </span>
  );
}

/** Before → amount → after, at the hop where Redis drew it. */
function Money({ hop, traced }: { hop: Hop; traced: Traced }) {
  const t = useTranslations("trace");
  if (hop.name !== "Charge" || !hop.reached) return null;
  const { cost, amount, balance_before: before, balance_after: after } = hop.detail;
  const moved = typeof amount === "string" ? amount : typeof cost === "string" ? drawn(cost) : null;
  const currency = traced.usageLog?.["currency"];
  return (
    <dl className="my-2 flex flex-wrap items-center gap-x-3 gap-y-2 rounded-md bg-sunken px-3 py-2">
      <Sum label={t("balanceBefore")} value={before} />
      <ArrowRight aria-hidden className="size-4 text-faint" />
      <div>
        <dt className="text-xs text-quiet">{t("amount")}</dt>
        <dd className="font-semibold">
          {moved === null ? (
            t("unknownAmount")
          ) : !decimal.test(moved) ? (
            <bdi className="wrap-anywhere">{moved}</bdi>
          ) : (
            <Amount value={moved} signed wrap currency={typeof currency === "string" ? currency : undefined} />
          )}
        </dd>
      </div>
      <ArrowRight aria-hidden className="size-4 text-faint" />
      <Sum label={t("balanceAfter")} value={after} />
    </dl>
  );
}

function Sum({ label, value }: { label: string; value: unknown }) {
  const t = useTranslations("trace");
  return (
    <div>
      <dt className="text-xs text-quiet">{label}</dt>
      <dd>{typeof value === "string" && decimal.test(value) ? <Amount value={value} wrap /> : t("unknownAmount")}</dd>
    </div>
  );
}

/** What a producer wrote there may be no amount. */
const decimal = /^-?\d+(\.\d+)?$/;

function drawn(cost: string): string {
  return !decimal.test(cost) || cost.startsWith("-") || /^0+(\.0+)?$/.test(cost) ? cost : `-${cost}`;
}

type AdviceProps = { hop: Hop; look: HopLook; stopped: boolean; traced: Traced };

function Advice({ hop, look, stopped, traced }: AdviceProps) {
  const t = useTranslations("trace");
  const said = () => {
    if (hop.reached) return null;
    if (isNeedless(hop, traced)) return t(traced.kind === "credit" ? "advice.credit" : "advice.noHold");
    if (hop.name === "Trimmed" && (traced.state === "settled" || traced.state === "exported"))
      return t("advice.trimmed");
    // Also when it was set aside: restored, it would only be too old again.
    if (stopped) return t(`advice.${isTooOld(traced) ? "too_old" : storyOf(traced)}`);
    return look === "none" ? null : t("advice.follows");
  };
  const text = said();
  return text === null ? null : <p className="mt-0.5 max-w-prose text-sm text-quiet">{text}</p>;
}

/** A hop that such a thing never has. */
function isNeedless(hop: Hop, { kind }: Traced): boolean {
  return hop.name === "Hold" || (kind === "credit" && hop.name === "usage_log");
}
