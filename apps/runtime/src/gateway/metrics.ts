/** What Prometheus reads of a gateway. Labels take values from short, known lists only. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export type GatewayMetrics = ReturnType<typeof gatewayMetrics>;

export function gatewayMetrics(registry: Registry = new Registry()) {
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    ...moneyMetrics(registers),
    ...providerMetrics(registers),
    requests: new Counter({
      name: "drawdown_requests_total",
      help: "Answered requests by route and status.",
      labelNames: ["route", "status"] as const,
      registers,
    }),
    requestSeconds: new Histogram({
      name: "drawdown_request_duration_seconds",
      help: "From the request's first byte to the answer's last.",
      labelNames: ["route"] as const,
      buckets: secondsBuckets,
      registers,
    }),
  };
}

/** Asked when somebody looks, not told by each request. */
export function measureInFlight(registry: Registry, count: () => number): void {
  const inFlight = new Gauge({
    name: "drawdown_requests_in_flight",
    help: "Requests being answered.",
    registers: [],
    collect() {
      this.set(count());
    },
  });
  registry.registerMetric(inFlight);
}

function moneyMetrics(registers: Registry[]) {
  return {
    charges: new Counter({
      name: "drawdown_charges_total",
      help: "Charges by outcome and by how their usage is known.",
      labelNames: ["outcome", "usage_source"] as const,
      registers,
    }),
    chargeSeconds: new Histogram({
      name: "drawdown_charge_duration_seconds",
      help: "One charge in Redis, as the gateway waits for it.",
      buckets: secondsBuckets,
      registers,
    }),
    holds: new Counter({
      name: "drawdown_holds_total",
      help: "Holds of proxied calls by outcome; `held_less`: what was available, less than was wanted.",
      labelNames: ["outcome"] as const,
      registers,
    }),
    holdRatio: new Histogram({
      name: "drawdown_hold_to_cost_ratio",
      help: "What was set aside for a call, as a multiple of what it cost.",
      buckets: [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 1_000],
      registers,
    }),
    uncharged: new Counter({
      name: "drawdown_delivered_uncharged_total",
      help: "Answers that were delivered and could not be charged, by reason.",
      labelNames: ["reason"] as const,
      registers,
    }),
    refusalsDropped: new Counter({
      name: "drawdown_refusals_dropped_total",
      help: "Refusals that were answered and not kept, by reason.",
      labelNames: ["reason"] as const,
      registers,
    }),
    customerTypeMismatches: new Counter({
      name: "drawdown_customer_type_mismatch_total",
      help: "Charges whose account has another customer type than the key's user.",
      registers,
    }),
  };
}

function providerMetrics(registers: Registry[]) {
  return {
    drained: new Counter({
      name: "drawdown_drained_streams_total",
      help: "Streams that went on being read for a client that had left, by how they ended.",
      labelNames: ["outcome"] as const,
      registers,
    }),
    upstreamSeconds: new Histogram({
      name: "drawdown_upstream_duration_seconds",
      help: "From the request to the provider to its answer's head.",
      labelNames: ["provider"] as const,
      buckets: secondsBuckets,
      registers,
    }),
    upstreamFailures: new Counter({
      name: "drawdown_upstream_failures_total",
      help: "Provider answers that did not come, broke off, or were errors, by provider and kind.",
      labelNames: ["provider", "kind"] as const,
      registers,
    }),
  };
}
