import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from 'pino';

import type { Config, Credentials, OtlpProtocol } from './config/config.ts';
import { createGraphQLServer } from './graphql/server.ts';
import { createMetrics } from './observability/metrics.ts';
import { headersToFillIn } from './http/router-secret.ts';
import { createHttpServer } from './http/server.ts';
import { createReadyToken, createTokenMint, type TokenSource } from './onenet/authorization.ts';
import { createBulkhead } from './onenet/bulkhead.ts';
import { createCircuit } from './onenet/circuit.ts';
import { createOneNetClient } from './onenet/client.ts';
import { createFailureLog } from './observability/failure-log.ts';
import { createRetryBudget } from './onenet/retry-budget.ts';
import { createTransport } from './onenet/transport.ts';
import { shareInFlight } from './sharing/in-flight.ts';
import type { SpanExport } from './observability/span-exporter.ts';
import { createTracing } from './observability/tracing.ts';

/** Calls that may wait for a place, for each pair that one operation may ask for. */
const QUEUE_FACTOR = 10;

/** How long the end waits for a collector that does not answer. */
const MAX_EXPORT_MS = 3000;

const monotonicNow = (): number => performance.now();

export interface App {
  /** Starts to listen and gives the address of the GraphQL endpoint. */
  listen(): Promise<string>;
  /** Loses readiness at once, answers what is under way, then closes everything. */
  close(): Promise<void>;
}

/** The composition root: the only place that constructs anything. */
export async function createApp(config: Config, logger: Logger): Promise<App> {
  const { host, port, maxDeviceTasks, requestTimeoutMs, cacheMaxAgeSeconds, routerSecret, sandbox } = config;
  let ready = false;

  const transport = createTransport({
    origin: config.onenetOrigin,
    timeoutMs: config.onenetTimeoutMs,
  });
  const bulkhead = createBulkhead({
    maxConcurrent: config.onenetConnections,
    maxQueued: maxDeviceTasks * QUEUE_FACTOR,
  });
  const circuit = createCircuit(monotonicNow, (circuit) =>
    logger.warn({ circuit }, 'circuit to OneNET changed'),
  );
  const tokens = createTokens(config.credentials);
  const metrics = createMetrics({
    callsInFlight: () => transport.inFlight,
    callsWaiting: () => bulkhead.queued,
    circuitState: () => circuit.status,
    tokenSource: 'token' in config.credentials ? 'ready' : 'minted',
    tokenExpiry: tokens.expiry,
  });
  const askOneNet = createOneNetClient({
    transport,
    bulkhead,
    circuit,
    retryBudget: createRetryBudget(monotonicNow),
    authorize: tokens.authorize,
    observer: { ...metrics, failed: createFailureLog(logger, monotonicNow) },
    now: monotonicNow,
    random: Math.random,
  });
  const answered = { onenet: 0, in_flight: 0, memory: 0, redis: 0 };
  const fetchOtaTasks = shareInFlight({
    ask: askOneNet,
    isOutOfTurns: () => !bulkhead.isFull,
    answered,
  });
  const reportExport = (problem: unknown): void =>
    logger.warn({ problem: String(problem) }, 'spans cannot be exported');
  const spans = config.otlpProtocol && (await loadSpanExport(config.otlpProtocol, reportExport));
  const graphql = await createGraphQLServer({
    fetchOtaTasks,
    maxDeviceTasks,
    sandbox,
    sandboxHeaders: headersToFillIn(routerSecret),
    // While a secret is set, whoever reaches GraphQL has given it.
    federatedTrace: routerSecret !== undefined,
    cacheMaxAgeSeconds,
    logger,
  });
  const http = createHttpServer({
    graphql,
    requestTimeoutMs,
    routerSecret,
    sandbox,
    isReady: () => ready,
    metrics,
    traceRequest: spans && createTracing(spans, new URL(config.onenetOrigin)),
    logger,
  });

  return {
    async listen() {
      const address = await http.listen({ host, port });
      ready = true;
      return `${address}/graphql`;
    },
    async close() {
      ready = false;
      await delay(config.drainDelayMs);
      await http.close();
      await graphql.stop();
      await transport.close();
      if (spans) await Promise.race([spans.shutdown().catch(reportExport), delay(MAX_EXPORT_MS)]);
    },
  };
}

function createTokens(credentials: Credentials): TokenSource {
  if ('token' in credentials) return createReadyToken(credentials.token);
  return createTokenMint({ ...credentials, now: Date.now });
}

/** Only where spans are wanted: it takes some time and memory to load. */
async function loadSpanExport(
  protocol: OtlpProtocol,
  onProblem: (problem: unknown) => void,
): Promise<SpanExport> {
  const { createSpanExport } = await import('./observability/span-exporter.ts');
  return createSpanExport(protocol, onProblem);
}
