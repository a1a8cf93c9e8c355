import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from 'pino';

import type { Config, Credentials, OtlpProtocol } from './config.ts';
import { createContext } from './graphql/context.ts';
import { createGraphQLServer } from './graphql/server.ts';
import { createMetrics } from './http/metrics.ts';
import { headersToFillIn } from './http/router-secret.ts';
import { createHttpServer } from './http/server.ts';
import { createReadyToken, createTokenMint, type TokenSource } from './onenet/authorization.ts';
import { createBulkhead } from './onenet/bulkhead.ts';
import { createCircuit } from './onenet/circuit.ts';
import { createOneNetClient } from './onenet/client.ts';
import { createExchange } from './onenet/exchange.ts';
import { createFailureLog } from './onenet/failure-log.ts';
import { createRetryBudget } from './onenet/retry-budget.ts';
import type { SpanExport } from './tracing/exporter.ts';
import { createTracing } from './tracing/tracing.ts';

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

  const exchange = createExchange({
    origin: config.onenetOrigin,
    timeoutMs: config.onenetTimeoutMs,
  });
  const bulkhead = createBulkhead({
    places: config.onenetConnections,
    queueCapacity: maxDeviceTasks * QUEUE_FACTOR,
  });
  const circuit = createCircuit(monotonicNow, (circuit) =>
    logger.warn({ circuit }, 'circuit to OneNET changed'),
  );
  const tokens = createTokens(config.credentials);
  const metrics = createMetrics({
    callsInFlight: () => exchange.inFlight,
    callsWaiting: () => bulkhead.waiting,
    circuitState: () => circuit.status,
    tokenSource: 'token' in config.credentials ? 'ready' : 'minted',
    tokenExpiry: tokens.expiry,
  });
  const fetchOtaTasks = createOneNetClient({
    exchange,
    bulkhead,
    circuit,
    retryBudget: createRetryBudget(monotonicNow),
    authorize: tokens.authorize,
    observer: { ...metrics, failed: createFailureLog(logger, monotonicNow) },
    now: monotonicNow,
    random: Math.random,
  });
  const reportExport = (problem: unknown): void =>
    logger.warn({ problem: String(problem) }, 'spans cannot be exported');
  const spans = config.otlpProtocol && (await loadSpanExport(config.otlpProtocol, reportExport));
  const graphql = createGraphQLServer({
    sandbox,
    sandboxHeaders: headersToFillIn(routerSecret),
    // While a secret is set, whoever reaches GraphQL has given it.
    federatedTrace: routerSecret !== undefined,
    cacheMaxAgeSeconds,
    logger,
  });
  await graphql.apollo.start();
  const http = createHttpServer({
    graphql,
    createContext: (requester, onAnswer) =>
      createContext({ fetchOtaTasks, maxDeviceTasks, requester, onAnswer }),
    maxDeviceTasks,
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
      await graphql.apollo.stop();
      await exchange.close();
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
  const { createSpanExport } = await import('./tracing/exporter.ts');
  return createSpanExport(protocol, onProblem);
}
