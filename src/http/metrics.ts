import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

const DOCUMENTED_ERRNOS: ReadonlySet<number> = new Set([0, 2, 4, 7, 12]);
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What is measured when somebody asks, rather than when it changes. */
export interface Gauges {
  readonly callsInFlight: () => number;
  readonly callsWaiting: () => number;
  readonly circuitOpen: () => boolean;
}

export interface Metrics {
  /** All metrics in Prometheus' text format. */
  text(): Promise<string>;
  /** Its media type. */
  readonly contentType: string;
  request(status: number, durationMs: number): void;
  attempt(result: string, errno: number | undefined, durationMs: number): void;
  retry(): void;
}

/** Every label has a small fixed set of values: no device, no operation text. */
export function createMetrics({ callsInFlight, callsWaiting, circuitOpen }: Gauges): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: 'onenet_ota_request_duration_seconds',
    help: 'GraphQL requests by HTTP status, from the first byte of the head to the last of the answer',
    labelNames: ['status'],
    buckets: SECONDS,
    registers,
  });
  const attempts = new Histogram({
    name: 'onenet_ota_upstream_attempt_duration_seconds',
    help: 'Calls to OneNET by how they ended, retries included; the time does not include waiting for a place',
    labelNames: ['result'],
    buckets: SECONDS,
    registers,
  });
  const errnos = new Counter({
    name: 'onenet_ota_upstream_errnos_total',
    help: 'Readable answers by errno; "other" are those that the document does not name',
    labelNames: ['errno'],
    registers,
  });
  const retries = new Counter({
    name: 'onenet_ota_upstream_retries_total',
    help: 'Second attempts',
    registers,
  });
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('onenet_ota_upstream_in_flight', 'Calls to OneNET under way', callsInFlight);
  gauge('onenet_ota_upstream_waiting', 'Calls to OneNET that wait for a place', callsWaiting);
  gauge('onenet_ota_upstream_circuit_open', '1 while the circuit is not closed', () => Number(circuitOpen()));

  return {
    text: () => registry.metrics(),
    contentType: registry.contentType,
    request(status, durationMs) {
      requests.observe({ status }, durationMs / 1000);
    },
    attempt(result, errno, durationMs) {
      attempts.observe({ result }, durationMs / 1000);
      if (errno !== undefined) errnos.inc({ errno: DOCUMENTED_ERRNOS.has(errno) ? String(errno) : 'other' });
    },
    retry() {
      retries.inc();
    },
  };
}
