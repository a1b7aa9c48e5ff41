"use client";

import { clsx } from "clsx";
import { CircleAlert, CircleCheck, TriangleAlert } from "lucide-react";
import Link from "next/link";
import { useTranslations } from "use-intl";
import type { OverviewFrame } from "@/server/overview-router.ts";
import { Duration } from "@/ui/moment.tsx";
import { type Finding, findingsOf } from "@/views/overview/verdict.ts";

const looks = {
  ok: { box: "border-ok/40 bg-ok-soft", text: "text-ok", icon: CircleCheck },
  warning: { box: "border-warning/40 bg-warning-soft", text: "text-warning", icon: TriangleAlert },
  critical: { box: "border-critical/40 bg-critical-soft", text: "text-critical", icon: CircleAlert },
};

/** Healthy, or what is wrong, each with where to look. */
export function VerdictLine({ frame }: { frame: OverviewFrame }) {
  const t = useTranslations("overview");
  const findings = findingsOf(frame);
  const tone = findings[0]?.tone ?? "ok";
  const { box, text, icon: Icon } = looks[tone];
  return (
    <section aria-label={t("verdict.label")} className={clsx("rounded-lg border px-4 py-3", box)}>
      <output className={clsx("flex items-center gap-2 text-base font-semibold", text)}>
        <Icon aria-hidden className="size-5 shrink-0" />
        {t(`verdict.${tone}`, { count: findings.length })}
      </output>
      {findings.length > 0 && (
        <ul className="mt-1.5 grid gap-1 ps-7">
          {findings.map((finding) => (
            <li key={finding.kind + (finding.name ?? "")} className="wrap-anywhere">
              <Wrong finding={finding} frame={frame} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Wrong({
  finding: { kind, tone, href, count = 0, name = "" },
  frame,
}: {
  finding: Finding;
  frame: OverviewFrame;
}) {
  const t = useTranslations("overview");
  const { icon: Icon, text } = looks[tone];
  const oldest = frame.streams.value?.totals.oldestUnsettledMs;
  return (
    <span className="inline-flex flex-wrap items-center gap-x-2">
      <Icon aria-hidden className={clsx("size-3.5 shrink-0", text)} />
      <span>
        {t(`finding.${kind}`, { count, name })}
        {kind === "late" && oldest != null && (
          <>
            {" "}
            <Duration milliseconds={oldest} />
          </>
        )}
      </span>
      <Link className="link min-h-6" href={href} prefetch={false}>
        {t(`look.${kind}`)}
      </Link>
    </span>
  );
}
