// Who sends a request, for the sign-in's limit and the list of sessions. Anybody can write X-Forwarded-For: it is believed only as far as
// the proxies go that are said to stand in front; without any, the sender is who is connected.
import type { IncomingMessage } from "node:http";

const HEADER = "x-forwarded-for";

/** Leaves the sender's address in X-Forwarded-For, alone. Each of the `proxies` adds the address of who asked it at the end. */
export function nameSender(request: Pick<IncomingMessage, "headers" | "socket">, proxies: number): void {
  const header = request.headers[HEADER];
  const said = (Array.isArray(header) ? header.join() : (header ?? "")).split(",").map((address) => address.trim());
  const address = proxies === 0 ? "" : (said.at(-proxies) ?? "");
  request.headers[HEADER] = address === "" ? (request.socket.remoteAddress ?? "") : address;
}
