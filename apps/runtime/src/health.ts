/** `/healthz`, `/readyz` and `/metrics`, the same on every process that runs in the foreground. */
import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

export type Health = {
  /** What must work for this process to do its work, by name: `ok`, or why not. Ready when all are `ok`. Never throws. */
  checks: () => Promise<Record<string, string>>;
  registry: Registry;
};

/** Alive is not ready: `/healthz` answers as long as the process turns, `/readyz` 503 with the reasons until it can do its work. */
export function healthRoutes(app: FastifyInstance, health: Health): void {
  app.get("/healthz", () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    const checks = await health.checks();
    const ready = Object.values(checks).every((check) => check === "ok");
    return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not_ready", checks });
  });
  app.get("/metrics", async (_request, reply) => {
    return reply.type(health.registry.contentType).send(await health.registry.metrics());
  });
}
