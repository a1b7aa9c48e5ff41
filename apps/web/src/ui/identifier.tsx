import { clsx } from "clsx";
import Link from "next/link";
import { CopyButton } from "@/ui/copy.tsx";

export type IdentifierProps = {
  /** Shown whole, never shortened. */
  id: string;
  href?: string | undefined;
  /** What it is, for the copy button's name: "Copy request id". */
  what?: string | undefined;
  copy?: boolean | undefined;
  /** false keeps it on one line, for tables that scroll. */
  wrap?: boolean | undefined;
};

/** An id as one text. Set apart from its surroundings, so that a mark of direction inside it turns nothing else around. */
export function Identifier({ id, href, what, copy = true, wrap = true }: IdentifierProps) {
  const text = <bdi className={clsx("font-mono text-[0.8125rem]", wrap ? "break-all" : "whitespace-nowrap")}>{id}</bdi>;
  return (
    <span className="inline-flex max-w-full min-w-0 items-center gap-0.5">
      {href === undefined ? (
        text
      ) : (
        <Link
          href={href}
          prefetch={false}
          className="inline-flex min-h-6 min-w-0 items-center text-accent underline decoration-transparent underline-offset-2 hover:decoration-current"
        >
          {text}
        </Link>
      )}
      {copy ? <CopyButton text={id} what={what} /> : null}
    </span>
  );
}
