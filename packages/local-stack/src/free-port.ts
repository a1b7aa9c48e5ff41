import { randomInt } from "node:crypto";
import { createServer } from "node:net";

// Below the range from which systems choose the ports of outgoing connections: a server that is stopped and started
// again on its port would otherwise find it taken now and then by somebody's connection, even by a client's own
// attempt to reconnect to it.
const LOWEST = 18_000;
const HIGHEST = 32_000;

const handedOut = new Set<number>();

/** Whether nothing listens on this port of 127.0.0.1. */
export function portIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port of 127.0.0.1 that is free now and that this process has not been given before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (handedOut.has(port) || !(await portIsFree(port))) continue;
    handedOut.add(port);
    return port;
  }
  throw new Error("Found no free port on 127.0.0.1.");
}
