"use client";

// What an act would do, for its dialog to show before it is done: each opening looks again, and what was found stays, whatever else is read
// again, until the dialog is gone.
import { skipToken, useQuery } from "@tanstack/react-query";
import { useState } from "react";

/** `asked` is null while the dialog is closed, and another object for each opening. Gives what was asked last, too. */
export function useActPreview<Asked extends object, Found>(
  name: string,
  asked: Asked | null,
  look: (asked: Asked) => Found | Promise<Found>,
) {
  const [opened, setOpened] = useState<{ asked: Asked | null; count: number }>({ asked: null, count: 0 });
  if (asked !== null && asked !== opened.asked) setOpened({ asked, count: opened.count + 1 });
  const { asked: last, count } = opened;
  const preview = useQuery({
    queryKey: [name, count],
    queryFn: last === null ? skipToken : () => look(last),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  return { asked: last, preview };
}
