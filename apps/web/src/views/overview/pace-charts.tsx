"use client";

import { useMemo } from "react";
import { useTranslations } from "use-intl";
import type { OverviewFrame } from "@/server/overview-router.ts";
import { Card } from "@/ui/card.tsx";
import { Chart } from "@/ui/chart.tsx";

/** The last minutes, live. */
export function PaceCharts({ pace }: { pace: OverviewFrame["pace"] }) {
  const t = useTranslations("overview");
  // A point each five seconds, and an event each second: drawn again only when there is a new point.
  const newest = pace.at.at(-1);
  // oxlint-disable-next-line react-hooks/exhaustive-deps
  const drawn = useMemo(() => textsOf(pace), [newest]);
  const { at, charges, settled, backlog, lag } = drawn;
  return (
    <div className="grid grid-cols-1 gap-4 lg:grid-cols-3">
      <Card title={t("pace.rates")}>
        <Chart
          title={t("pace.rates")}
          kind="lines"
          at={at}
          precision="seconds"
          series={[
            { label: t("pace.charges"), values: charges, color: 1 },
            { label: t("pace.settled"), values: settled, color: 2 },
          ]}
        />
      </Card>
      <Card title={t("pace.backlog")}>
        <Chart
          title={t("pace.backlog")}
          kind="steps"
          at={at}
          precision="seconds"
          series={[{ label: t("pace.backlog"), values: backlog, color: 3 }]}
        />
      </Card>
      <Card title={t("pace.lag")}>
        <Chart
          title={t("pace.lag")}
          kind="lines"
          at={at}
          precision="seconds"
          unit="s"
          series={[{ label: t("pace.lag"), values: lag, color: 6 }]}
        />
      </Card>
    </div>
  );
}

function textsOf(pace: OverviewFrame["pace"]) {
  const texts = (values: (number | null)[]) => values.map((value) => (value === null ? null : String(value)));
  return {
    at: pace.at.map((at) => new Date(at)),
    charges: texts(pace.charges),
    settled: texts(pace.settled),
    backlog: texts(pace.backlog),
    lag: pace.lagMs.map((ms) => (ms === null ? null : (ms / 1_000).toFixed(3))),
  };
}
