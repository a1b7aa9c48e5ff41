"use client";

// What is wrong with the chain at one place, drawn between the two links there: what it means, and what to do. An accepted break is shown
// for ever, with who accepted it and why. What is only on its way is no break, and is shown as that.
import type { TrailProblem, TrailRow, WaitingLink } from "@drawdown/billing";
import { CircleAlert, CircleCheck, Hourglass, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useReasonAgainst } from "@/console/operator.tsx";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import { Button } from "@/ui/button.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";
import { AcceptDialog } from "@/views/account/accept-dialog.tsx";

export function TrailBreaks({ row, accountId }: { row: TrailRow; accountId: string }) {
  return (
    <div className="grid grid-cols-1 gap-2 py-1">
      {row.problems.map((one) => (
        <Break key={`${one.kind} ${one.fromSeq} ${one.message}`} found={one} accountId={accountId} />
      ))}
      {row.waiting.map((link) => (
        <Waiting key={`${link.seq} ${link.name}`} link={link} />
      ))}
    </div>
  );
}

const ACCEPTABLE: ReadonlySet<TrailProblem["kind"]> = new Set(["gap", "fork", "mismatch", "first_link"]);

function Break({ found, accountId }: { found: TrailProblem; accountId: string }) {
  const t = useTranslations("accounts.trail.break");
  const [accepting, setAccepting] = useState(false);
  const refused = useReasonAgainst("admin");
  const { kind, fromSeq, toSeq, accepted, unsure, details, links } = found;
  const from = fromSeq ?? "?";
  const to = toSeq ?? "?";
  const title = t(`${kind}.title`, { from, to, one: String(from === to) });
  const acceptable = accepted === null && !unsure && ACCEPTABLE.has(kind) && fromSeq !== null && toSeq !== null;
  const Icon = accepted ? CircleCheck : unsure ? TriangleAlert : CircleAlert;
  return (
    <section
      aria-label={title}
      className={`grid gap-1.5 rounded-md border-2 border-dashed px-3 py-2 text-sm ${
        accepted
          ? "border-line-mid bg-sunken"
          : unsure
            ? "border-warning bg-warning-soft"
            : "border-critical bg-critical-soft"
      }`}
    >
      <div className="flex flex-wrap items-center gap-2">
        <Icon
          aria-hidden
          className={`size-4 shrink-0 ${accepted ? "text-quiet" : unsure ? "text-warning" : "text-critical"}`}
        />
        <strong className="font-semibold">{title}</strong>
        {accepted && <Badge>{t("accepted")}</Badge>}
      </div>
      <p>{t(`${kind}.means`)}</p>
      <Details details={details} links={links} />
      {accepted ? (
        <p>
          {t("acceptedBy")} <bdi>{accepted.actor}</bdi> · <Moment at={accepted.acceptedAt} /> ·{" "}
          <q>
            <bdi className="wrap-anywhere">{accepted.reason}</bdi>
          </q>
        </p>
      ) : (
        <p className="text-quiet">{unsure ? t("unsure") : t(`${kind}.help`)}</p>
      )}
      {acceptable && (
        <div>
          <Button size="small" reason={refused} onClick={() => setAccepting(true)}>
            {t("accept")}
          </Button>
        </div>
      )}
      {/* Its answer is read after the break has become an accepted one. */}
      {(acceptable || accepting) && (
        <AcceptDialog open={accepting} onOpenChange={setAccepting} accountId={accountId} fromSeq={from} toSeq={to} />
      )}
    </section>
  );
}

const DETAILS = ["amounts", "before", "after", "amount", "previous_after", "step", "credits", "version"] as const;
const AMOUNT = /^-?\d+\.\d{9}$/;

function Details({ details, links }: Pick<TrailProblem, "details" | "links">) {
  const t = useTranslations("accounts.trail.break");
  const known = DETAILS.flatMap((name) => (details[name] == null ? [] : [{ name, text: details[name] }]));
  if (known.length + links.length === 0) return null;
  return (
    <dl className="flex flex-wrap gap-x-6 gap-y-1 text-xs">
      {known.map(({ name, text }) => (
        <div key={name} className="flex flex-wrap gap-x-1.5">
          <dt className="text-quiet">{t(`detail.${name}`)}</dt>
          <dd>{AMOUNT.test(text) ? <Amount value={text} wrap /> : text}</dd>
        </div>
      ))}
      {links.map((link) => (
        <div key={link} className="flex flex-wrap items-center gap-x-1.5">
          <dt className="text-quiet">{t("detail.link")}</dt>
          <dd>
            <Identifier id={link} what={t("detail.link")} href={`/trace/${encodeURIComponent(link)}`} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Waiting({ link }: { link: WaitingLink }) {
  const t = useTranslations("accounts.trail.waiting");
  return (
    <section
      aria-label={t("title", { seq: link.seq })}
      className="flex flex-wrap items-center gap-x-4 gap-y-1 rounded-md border border-dashed border-line-strong px-3 py-1.5 text-sm"
    >
      <span className="inline-flex items-center gap-1.5 font-medium">
        <Hourglass aria-hidden className="size-4 text-warning" />
        {t("title", { seq: link.seq })}
      </span>
      <Badge tone={link.standing === "unread" || link.standing === "pending" ? "neutral" : "warning"}>
        {t(`standing.${link.standing}`)}
      </Badge>
      <Amount value={link.amount} signed />
      <Identifier id={link.name} what={t("link")} href={`/trace/${encodeURIComponent(link.name)}`} />
      <span className="text-xs text-quiet">{t(`help.${link.standing}`)}</span>
    </section>
  );
}
