import { setTimeout as delay } from 'node:timers/promises';

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

import { ERROR_CODES } from '../graphql/error-map.ts';

/** Outcomes of a GraphQL request. The first that applies counts. */
const OUTCOMES = [
  /** The client disconnected, or was too slow, before it had the whole answer. */
  'aborted',
  /** Answered 503 because the service is overloaded. */
  'shed',
  /** Answered 4xx because of the client's mistake. */
  'refused',
  /** Errors without data. */
  'failed',
  /** Data with errors; a device without a task is an error of `otaTask`. */
  'partial',
  'ok',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

const KNOWN_CODES: ReadonlySet<string> = new Set(ERROR_CODES);
const DOCUMENTED_ERRNOS: ReadonlySet<number> = new Set([0, 2, 4, 7, 12]);
const CIRCUIT_STATES = ['closed', 'half-open', 'open'] as const;
/** Collecting takes some milliseconds. */
const MIN_COLLECTION_INTERVAL_MS = 100;
/** From an answer out of the cache up to the longest configurable deadline. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];

/** Values that are read when the metrics are collected. */
export interface Readings {
  readonly callsInFlight: () => number;
  readonly callsQueued: () => number;
  /** Calls waiting for a turn within the quota. */
  readonly quotaWaiting: () => number;
  /** Answered pairs by source, counted by `sharing/`. */
  readonly pairsAnswered: Readonly<Record<string, number>>;
  /** Undefined if Redis is not configured. */
  readonly isRedisAvailable: (() => boolean) | undefined;
  readonly circuitState: () => (typeof CIRCUIT_STATES)[number];
  /** Whether tokens are minted here or, as `ready`, renewed outside this service. */
  readonly tokenSource: 'minted' | 'ready';
  /** Unix time in seconds, if known. */
  readonly tokenExpiry: () => number | undefined;
}

export interface Metrics {
  /** All metrics in Prometheus' text format, collected no earlier than the call. */
  text(): Promise<string>;
  /** The media type of `text`. */
  readonly contentType: string;
  requestStarted(): void;
  requestEnded(outcome: Outcome, status: number, durationMs: number): void;
  /** @param counts The number of errors in an answer, by code. */
  errors(counts: ReadonlyMap<string, number>): void;
  attempt(result: string, errno: number | undefined, durationMs: number): void;
  retry(): void;
}

/** Creates the metrics. Every label has a small, fixed set of values, so no label holds a device or an operation. */
export function createMetrics(readings: Readings): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: 'onenet_ota_request_duration_seconds',
    help: 'GraphQL requests by outcome, from the first byte of the head to the last of the answer',
    labelNames: ['outcome'],
    buckets: SECONDS,
    registers,
  });
  const refusals = new Counter({
    name: 'onenet_ota_requests_refused_total',
    help: 'GraphQL requests that were refused, by HTTP status',
    labelNames: ['status'],
    registers,
  });
  const errors = new Counter({
    name: 'onenet_ota_errors_total',
    help: 'Errors in the answers to operations by extensions.code',
    labelNames: ['code'],
    registers,
  });
  const attempts = new Histogram({
    name: 'onenet_ota_upstream_attempt_duration_seconds',
    help: 'Calls to OneNET by how they ended, retries included; the time does not include waiting for a place',
    labelNames: ['result'],
    buckets: SECONDS,
    registers,
  });
  const retries = new Counter({
    name: 'onenet_ota_upstream_retries_total',
    help: 'Second attempts',
    registers,
  });

  let underWay = 0;
  const answersByErrno: Record<string, number> = {};
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('onenet_ota_requests_in_flight', 'GraphQL requests under way', () => underWay);
  gauge('onenet_ota_upstream_in_flight', 'Calls to OneNET under way', readings.callsInFlight);
  gauge('onenet_ota_upstream_waiting', 'Calls to OneNET that wait to go out', readings.callsQueued);
  gauge(
    'onenet_ota_quota_waiting',
    'Calls to OneNET that wait for their turn within the quota',
    readings.quotaWaiting,
  );
  const { isRedisAvailable } = readings;
  if (isRedisAvailable !== undefined) {
    gauge('onenet_ota_redis_available', '1 while Redis answers in time and takes writes', () =>
      Number(isRedisAvailable()),
    );
  }
  // Counted in plain numbers and handed over when collected, because prom-client looks a counter up by its labels each time.
  const counter = (
    name: string,
    help: string,
    label: string,
    counts: Readonly<Record<string, number>>,
  ): Counter =>
    new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(counts)) this.inc({ [label]: value }, count);
      },
    });
  counter(
    'onenet_ota_upstream_answers_total',
    'Readable answers of OneNET by errno; "other" are those that the document does not name',
    'errno',
    answersByErrno,
  );
  counter(
    'onenet_ota_pairs_total',
    'Tasks and absences that were answered, once for a pair and request, by where they came from',
    'source',
    readings.pairsAnswered,
  );
  new Gauge({
    name: 'onenet_ota_upstream_circuit_state',
    help: '1 for the state in which the circuit is',
    labelNames: ['state'],
    registers,
    collect() {
      const current = readings.circuitState();
      for (const state of CIRCUIT_STATES) this.set({ state }, Number(state === current));
    },
  });
  new Gauge({
    name: 'onenet_ota_token_expiry_timestamp_seconds',
    help: 'When the token for OneNET expires; a minted one is renewed by the call that needs it',
    labelNames: ['source'],
    registers,
    collect() {
      const expiry = readings.tokenExpiry();
      if (expiry !== undefined) this.set({ source: readings.tokenSource }, expiry);
    },
  });

  // Prometheus computes the rate of a first increase only if the series existed before it.
  for (const outcome of OUTCOMES) requests.zero({ outcome });
  for (const code of ERROR_CODES) errors.inc({ code }, 0);

  return {
    text: shareCollections(() => registry.metrics()),
    contentType: registry.contentType,
    requestStarted() {
      underWay++;
    },
    requestEnded(outcome, status, durationMs) {
      underWay--;
      requests.observe({ outcome }, durationMs / 1000);
      if (outcome === 'refused') refusals.inc({ status });
    },
    errors(counts) {
      for (const [code, count] of counts) errors.inc({ code: KNOWN_CODES.has(code) ? code : 'other' }, count);
    },
    attempt(result, errno, durationMs) {
      attempts.observe({ result }, durationMs / 1000);
      if (errno === undefined) return;
      const label = DOCUMENTED_ERRNOS.has(errno) ? errno : 'other';
      answersByErrno[label] = (answersByErrno[label] ?? 0) + 1;
    },
    retry() {
      retries.inc();
    },
  };
}

/**
 * Shares collections: calls that arrive before the next one is due all wait for it, so that more calls do not cost
 * more.
 */
function shareCollections(collect: () => Promise<string>): () => Promise<string> {
  let due: Promise<unknown> = Promise.resolve();
  let next: Promise<string> | undefined;
  return () =>
    (next ??= due.then(() => {
      due = delay(MIN_COLLECTION_INTERVAL_MS, undefined, { ref: false });
      next = undefined;
      return collect();
    }));
}
