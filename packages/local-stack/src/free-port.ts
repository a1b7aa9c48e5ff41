import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { createServer } from "node:net";

// Below the range from which systems choose the ports of outgoing connections: a server that is stopped and started
// again on its port would otherwise find it taken now and then by somebody's connection, even by a client's own
// attempt to reconnect to it.
const RANGE = { from: 18_000, to: 32_000 };

/**
 * A port is taken by binding the UDP port of the same number, which nobody else uses: its server will listen on it only later, and until then
 * another process that looks for a port would find it free as well. It is given back when this process ends, however that is.
 */
const taken: Socket[] = [];

/** Whether nothing listens on this port of 127.0.0.1. */
export function portIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port of 127.0.0.1, from `from` on and below `to`, that is free now and that nobody else is given while this process lives. */
export async function freePort({ from, to } = RANGE): Promise<number> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const port = randomInt(from, to);
    if ((await portIsFree(port)) && (await take(port))) return port;
  }
  throw new Error("Found no free port on 127.0.0.1.");
}

/** False when a process, this one or another, has taken it. */
function take(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => {
      taken.push(socket.unref());
      resolve(true);
    });
  });
}
