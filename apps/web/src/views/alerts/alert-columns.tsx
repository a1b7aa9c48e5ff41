import type { AlertListRow } from "@drawdown/db";
import type { useTranslations } from "use-intl";
import { JsonBlock } from "@/ui/code.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { Duration, Moment } from "@/ui/moment.tsx";
import { AlertLinks } from "@/views/alerts/alert-card.tsx";
import { AlertLevel } from "@/views/alerts/alert-level.tsx";

type Words = ReturnType<typeof useTranslations<"alerts">>;

export function alertColumns(t: Words): Column<AlertListRow>[] {
  return [
    { id: "level", title: t("column.level"), cell: ({ level }) => <AlertLevel level={level} /> },
    { id: "kind", title: t("column.kind"), cell: ({ kind }) => <bdi className="font-medium">{kind}</bdi> },
    { id: "key", title: t("column.key"), cell: ({ key }) => (key === "" ? t("everything") : <bdi>{key}</bdi>) },
    { id: "message", title: t("column.message"), grow: true, cell: (alert) => <Message alert={alert} t={t} /> },
    { id: "opened", title: t("column.opened"), cell: ({ openedAt }) => <Moment at={openedAt} /> },
    {
      id: "resolved",
      title: t("column.resolved"),
      cell: ({ resolvedAt }) => resolvedAt && <Moment at={resolvedAt} />,
    },
    {
      id: "lasted",
      title: t("column.lasted"),
      align: "end",
      cell: ({ openedAt, resolvedAt }) => resolvedAt && <Duration from={openedAt} to={resolvedAt} />,
    },
  ];
}

function Message({ alert, t }: { alert: AlertListRow; t: Words }) {
  const { message, details } = alert;
  return (
    <div className="grid min-w-0 gap-1">
      <span className="line-clamp-3 wrap-anywhere">
        <bdi>{message}</bdi>
      </span>
      <AlertLinks alert={alert} />
      <Disclosure label={t("details")}>
        <JsonBlock what={t("details")} value={{ message, ...details }} />
      </Disclosure>
    </div>
  );
}
