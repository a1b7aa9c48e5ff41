// Addresses of pages about one thing. Ids may hold slashes and any other character.

export function traceHref(id: string): string {
  return `/trace/${encodeURIComponent(id)}`;
}

export function accountHref(id: string): string {
  return `/accounts/${encodeURIComponent(id)}`;
}

export function operationHref(id: string): string {
  return `/operations/${encodeURIComponent(id)}`;
}
