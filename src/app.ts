import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from 'pino';

import type { AskOtaTasks, TakeTurn } from './ask-ota-tasks.ts';
import type { Config } from './config/config.ts';
import type { Credentials } from './config/credentials.ts';
import { watchProducts } from './config/products-file.ts';
import type { OtlpProtocol } from './config/tracing.ts';
import { exampleOperation } from './explorers/example-operation.ts';
import { createGraphQLServer } from './graphql/server.ts';
import { headersToFillIn } from './http/router-secret.ts';
import { createHttpServer } from './http/server.ts';
import { createFailureLog } from './observability/failure-log.ts';
import { createMetrics } from './observability/metrics.ts';
import type { SpanExport } from './observability/span-exporter.ts';
import { createTracing } from './observability/tracing.ts';
import {
  createProductTokens,
  createStaticToken,
  createTokenMint,
  type TokenSource,
} from './onenet/authorization.ts';
import { createBulkhead } from './onenet/bulkhead.ts';
import { createCircuit } from './onenet/circuit.ts';
import { createOneNetClient } from './onenet/client.ts';
import { createRetryBudget } from './onenet/retry-budget.ts';
import { createTransport } from './onenet/transport.ts';
import { shareInFlight } from './sharing/in-flight.ts';
import { createLifetimes } from './sharing/lifetimes.ts';
import { createMemoryCache } from './sharing/memory-cache.ts';
import { createQuota, watchTurns } from './sharing/quota.ts';
import { createRedisCache, READ, WRITE } from './sharing/redis-cache.ts';
import type { RedisConnection } from './sharing/redis-connection.ts';
import { createFleetQuota, LEASE } from './sharing/redis-quota.ts';
import { createSealOf } from './sharing/seal.ts';

/** Calls that may be queued, for each pair that one operation may ask for. */
const QUEUE_FACTOR = 10;

/** How long shutdown waits for a collector that does not answer. */
const MAX_EXPORT_MS = 3000;

const monotonicNow = (): number => performance.now();

export interface App {
  /** Starts listening and resolves to the URL of the GraphQL endpoint. */
  listen(): Promise<string>;
  /** Reports not ready at once, answers the requests in progress, then closes everything. */
  close(): Promise<void>;
}

/** The composition root: constructs all parts and connects them. */
export async function createApp(config: Config, logger: Logger): Promise<App> {
  const { host, port, maxDeviceTasks, requestTimeoutMs, cacheMaxAgeSeconds, routerSecret, sandbox } = config;
  const { credentials, callsPerSecond, cacheTtlMs, cacheAbsentTtlMs, cacheMaxEntries } = config;
  const closing: (() => unknown)[] = [];
  let ready = false;

  const products = 'products' in credentials ? followProducts(credentials, logger, closing) : undefined;
  const tokens = createTokens(credentials, products);
  const transport = createTransport({ origin: config.onenetOrigin, timeoutMs: config.onenetTimeoutMs });
  closing.push(() => transport.close());
  const bulkhead = createBulkhead({
    maxConcurrent: config.onenetConnections,
    maxQueued: maxDeviceTasks * QUEUE_FACTOR,
  });
  const circuit = createCircuit(monotonicNow, (circuit) =>
    logger.warn({ circuit }, 'circuit to OneNET changed'),
  );
  const redis =
    config.redisUrl === undefined ? undefined : await connectRedis(config.redisUrl, logger, closing);
  const answered = { onenet: 0, in_flight: 0, memory: 0, redis: 0 };
  const quota =
    callsPerSecond === undefined
      ? undefined
      : watchTurns(limitCalls(callsPerSecond, redis, config, logger, closing));
  const metrics = createMetrics({
    callsInFlight: () => transport.inFlight,
    callsQueued: () => bulkhead.queued,
    quotaWaiting: () => (quota?.isOutOfTurns() === true ? bulkhead.queued : 0),
    pairsAnswered: answered,
    isRedisAvailable: redis && (() => redis.availableSinceMs !== undefined),
    circuitState: () => circuit.status,
    tokenSource: 'token' in credentials ? 'ready' : 'minted',
    tokenExpiry: tokens.expiry,
  });

  // The chain of links from OneNET up to the loader. Links that are not configured are left out.
  let ask: AskOtaTasks = createOneNetClient({
    transport,
    bulkhead,
    circuit,
    retryBudget: createRetryBudget(monotonicNow),
    authorize: tokens.authorize,
    takeTurn: quota?.takeTurn,
    observer: { ...metrics, failed: createFailureLog(logger, monotonicNow) },
    now: monotonicNow,
    random: Math.random,
  });
  if (cacheTtlMs > 0 || cacheAbsentTtlMs > 0) {
    const beginLife = createLifetimes({
      taskMs: cacheTtlMs,
      absentMs: cacheAbsentTtlMs,
      now: monotonicNow,
      random: Math.random,
    });
    if (redis !== undefined) {
      const sealOf = createSealOf(({ productId }) => secretOf(credentials, productId));
      ask = createRedisCache({ ask, redis, sealOf, beginLife, now: monotonicNow });
    }
    ask = createMemoryCache({ ask, beginLife, maxEntries: cacheMaxEntries, now: monotonicNow });
  }
  const fetchOtaTasks = shareInFlight({ ask, isOutOfTurns: () => quota?.isOutOfTurns() ?? false, answered });

  const reportExport = (problem: unknown): void =>
    logger.warn({ problem: String(problem) }, 'spans cannot be exported');
  const spans = config.otlpProtocol && (await loadSpanExport(config.otlpProtocol, reportExport));
  if (spans) closing.push(() => Promise.race([spans.shutdown().catch(reportExport), delay(MAX_EXPORT_MS)]));
  const graphql = createGraphQLServer({
    fetchOtaTasks,
    schema: config.schema,
    isProduct: (productId) => products?.has(productId) ?? false,
    maxDeviceTasks,
    sandbox,
    example: { ...exampleOperation, headers: headersToFillIn(routerSecret) },
    // If a secret is configured, every request that reaches GraphQL has presented it.
    federatedTrace: routerSecret !== undefined,
    cacheMaxAgeSeconds,
    logger,
  });
  const http = createHttpServer({
    graphql,
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
      await graphql.stop();
      for (const close of closing) await close();
    },
  };
}

function createTokens(
  credentials: Credentials,
  products: ReadonlyMap<string, string> | undefined,
): TokenSource {
  if ('token' in credentials) return createStaticToken(credentials.token);
  if (products !== undefined) return createProductTokens(products, { ...credentials, now: Date.now });
  return createTokenMint({ ...(credentials as Extract<Credentials, { productId: string }>), now: Date.now });
}

/** @returns The access keys by product, updated whenever the file changes. */
function followProducts(
  { products, productsFile }: Extract<Credentials, { productsFile: string }>,
  logger: Logger,
  closing: (() => unknown)[],
): ReadonlyMap<string, string> {
  const stop = watchProducts(
    productsFile,
    products,
    (changed) => {
      products.clear();
      for (const [productId, accessKey] of changed) products.set(productId, accessKey);
      logger.info({ products: products.size }, 'products file changed');
    },
    (fault) => logger.error({ fault }, 'products file is wrong; the last good one stands'),
  );
  closing.push(stop);
  return products;
}

/** Connects to Redis and waits briefly for it, so that new replicas do not each start with the whole quota. */
async function connectRedis(
  url: string,
  logger: Logger,
  closing: (() => unknown)[],
): Promise<RedisConnection> {
  // Imported on demand, because it takes time and memory to load.
  const { createRedisConnection } = await import('./sharing/redis-connection.ts');
  const redis = createRedisConnection({
    url,
    scripts: [READ, WRITE, LEASE],
    onChange(isAvailable, reason) {
      if (isAvailable) logger.info('Redis is available');
      else logger.warn({ reason }, 'Redis is not available; this replica goes on alone');
    },
    now: monotonicNow,
    random: Math.random,
  });
  closing.push(() => redis.close());
  await redis.firstAttempt;
  return redis;
}

function limitCalls(
  callsPerSecond: number,
  redis: RedisConnection | undefined,
  { credentials }: Config,
  logger: Logger,
  closing: (() => unknown)[],
): TakeTurn {
  if (redis === undefined) return createQuota(callsPerSecond, monotonicNow);
  const quota = createFleetQuota({
    redis,
    callsPerSecond,
    name: nameOf(credentials),
    now: monotonicNow,
    random: Math.random,
    onAlone: (share) => logger.warn(share, 'quota is kept by this replica alone'),
  });
  closing.push(() => quota.close());
  return quota.takeTurn;
}

/** Tells a quota from those of other accounts that share the Redis: of a static token, by what it is valid for. */
function nameOf(credentials: Credentials): string {
  const account =
    'token' in credentials
      ? (new URLSearchParams(credentials.token).get('res') ?? '')
      : 'productId' in credentials
        ? credentials.productId
        : 'several products';
  return createHash('sha256').update(account).digest('base64url').slice(0, 16);
}

/** For what is answered to calls whose product has gone while they waited: nobody is to read that in Redis. */
const NOBODYS_SECRET = randomUUID();

/** What the entries in Redis are encrypted with: they are of no use to anybody with other credentials. */
function secretOf(credentials: Credentials, productId = ''): string {
  if ('token' in credentials) return credentials.token;
  if (!('products' in credentials)) return `${credentials.productId}:${credentials.accessKey}`;
  const accessKey = credentials.products.get(productId);
  return accessKey === undefined ? NOBODYS_SECRET : `${productId}:${accessKey}`;
}

/** Loads the exporter on demand, because it takes time and memory to load. */
async function loadSpanExport(
  protocol: OtlpProtocol,
  onProblem: (problem: unknown) => void,
): Promise<SpanExport> {
  const { createSpanExport } = await import('./observability/span-exporter.ts');
  return createSpanExport(protocol, onProblem);
}
