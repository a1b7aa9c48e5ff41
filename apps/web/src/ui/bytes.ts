const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** "512 B", "1.4 MiB": sizes of memory, nothing rounded up. */
export function bytesText(bytes: number): string {
  let [value, place] = [bytes, 0];
  while (value >= 1_024 && place < UNITS.length - 1) [value, place] = [value / 1_024, place + 1];
  return `${place === 0 ? value : Math.floor(value * 10) / 10} ${UNITS[place] ?? ""}`;
}
