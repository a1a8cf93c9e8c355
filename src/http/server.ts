import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';

import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import { limitsFor } from '../graphql/limits.ts';
import type { GraphQLServer } from '../graphql/server.ts';
import { serveGraphiQL } from '../explorers/graphiql.ts';
import { serveSandbox } from '../explorers/sandbox.ts';
import { shareWithStudio } from '../explorers/studio-origin.ts';
import type { Metrics } from '../observability/metrics.ts';
import { logFieldsOf, requestIdOf } from '../observability/request-id.ts';
import { followRequests } from '../observability/request-outcome.ts';
import type { TraceRequest } from '../observability/tracing.ts';
import { boundConnections } from './connections.ts';
import { createGraphQLHandler } from './graphql-handler.ts';
import { createLoadShedding } from './load-shedding.ts';
import { refusalBytes, refuse, statusOf } from './refusal.ts';
import { MAX_BODY_BYTES, readBodies } from './request-body.ts';
import { createRequestCheck, GRAPHIQL_PATH, GRAPHQL_PATH } from './request-check.ts';
import { createRequestScope } from './request-scope.ts';
import { headersToFillIn } from './router-secret.ts';

const HEADERS_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 15_000;
/**
 * Longer than routers (15 to 90 s) and load balancers (60 s) keep an idle connection, so that they close it and not we.
 * A close on our side could cross a request.
 */
const KEEP_ALIVE_TIMEOUT_MS = 95_000;
/**
 * Extra time for requests that have just begun when draining starts: to arrive and to be answered within their own
 * timeout.
 */
export const DRAIN_MARGIN_MS = 5000;
/** Time for a client to read its refusal and close, before its connection is destroyed. */
const REFUSAL_TIMEOUT_MS = 1000;

/** Statuses for input that cannot be parsed as a request, by error code; all other codes are a 400. */
const UNREADABLE_STATUSES: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

export interface HttpServerOptions {
  readonly graphql: GraphQLServer;
  /** The maximum number of distinct (device, type) pairs in one operation. */
  readonly maxDeviceTasks: number;
  readonly requestTimeoutMs: number;
  readonly routerSecret: string | undefined;
  readonly sandbox: boolean;
  readonly isReady: () => boolean;
  readonly metrics: Metrics;
  /** Undefined if tracing is disabled. */
  readonly traceRequest: TraceRequest | undefined;
  readonly logger: Logger;
}

/** Creates the web server around GraphQL: limits on requests, refusals and routes. */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const { graphql, maxDeviceTasks, requestTimeoutMs, routerSecret, sandbox, isReady } = options;
  const { metrics, traceRequest, logger } = options;
  const check = createRequestCheck(routerSecret, sandbox);

  const server = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: BODY_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 1000,
      // A missing Host is refused below, with a body like any other refusal. So is a repeated one, because the joined
      // value is invalid.
      requireHostHeader: false,
      joinDuplicateHeaders: true,
    },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    requestIdHeader: false,
    genReqId: requestIdOf,
    frameworkErrors(error, request, reply) {
      logRefusal(request, statusOf(error), error.code);
      void refuse(reply.header('x-request-id', request.id), statusOf(error));
    },
    clientErrorHandler(error, socket) {
      if (!socket.writable || !connections.canAnswer(socket)) socket.destroy();
      else refuseUnreadable(socket, UNREADABLE_STATUSES[error.code] ?? 400, error.code);
    },
  });
  const connections = boundConnections(server, {
    readTimeoutMs: requestTimeoutMs,
    // Room for two of the largest.
    maxUnreadBytes: 2 * limitsFor(maxDeviceTasks).answerBytes,
    drainTimeoutMs: requestTimeoutMs + DRAIN_MARGIN_MS,
    logger,
  });

  const follow = followRequests(server, check.isForGraphQL, metrics, logger, traceRequest);
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    if (sandbox && check.isForGraphQL(request)) shareWithStudio(request, reply);
    const refusal = check.refusalOf(request);
    if (refusal === undefined) return;
    const { status, allow } = refusal;
    if (status === 417) logRefusal(request, status);
    return refuse(allow === undefined ? reply : reply.header('allow', allow), status);
  });
  server.addHook('onSend', (_request, reply, payload, done) => {
    // While draining, close each connection after its answer, or shutdown would wait until the last one is idle.
    if (!isReady()) void reply.header('connection', 'close');
    done(null, payload);
  });
  server.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    if (status === 500) {
      logger.error({ err: error, ...logFieldsOf(request) }, 'unforeseen error, masked');
    } else if (status !== 503) {
      // Overload is visible in the metrics; a log line for each request would only add to it.
      logRefusal(request, status, (error as { readonly code?: string }).code);
    }
    // Fastify would close the connection with the body unread, and the resulting reset can overtake the answer. With
    // the connection open, the rest of the body is read and discarded, within the body timeout.
    return refuse(reply.removeHeader('connection'), status);
  });

  const { largestBody, enter, isOverloaded } = createLoadShedding(server, maxDeviceTasks);
  readBodies(server, { largestBody, onArrival: ({ raw }) => connections.requestArrived(raw.socket) });
  // Node would answer an unknown `Expect` itself and drop `CONNECT` without an answer.
  server.server.on('checkExpectation', (request, response) => server.routing(request, response));
  server.server.on('connect', (_, socket) => refuseUnreadable(socket, 400, 'CONNECT'));

  server.get('/livez', (_, reply) => reply.send({ status: 'ok' }));
  server.get('/readyz', (_, reply) => {
    if (!isReady()) return reply.code(503).send({ status: 'draining' });
    return isOverloaded() ? reply.code(503).send({ status: 'overloaded' }) : reply.send({ status: 'ok' });
  });
  server.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  server.post(
    GRAPHQL_PATH,
    createGraphQLHandler(graphql, (request, reply) => {
      enter(request, reply);
      const { trace, onAnswer } = follow(request, reply);
      return { scope: createRequestScope(request, reply, requestTimeoutMs, trace), onAnswer };
    }),
  );
  if (sandbox) {
    serveSandbox(server, GRAPHQL_PATH, () => graphql.landingPage());
    serveGraphiQL(server, GRAPHIQL_PATH, headersToFillIn(routerSecret));
  }
  return server;

  function logRefusal(request: FastifyRequest, status: number, reason?: string): void {
    // A client that disconnects while sending is not worth a warning.
    const level = reason === 'ECONNRESET' ? 'debug' : 'warn';
    logger[level]({ status, method: request.method, reason, ...logFieldsOf(request) }, 'request refused');
  }

  /** Refuses input for which no request exists, and so no route. */
  function refuseUnreadable(socket: Duplex, status: number, reason: string): void {
    const requestId = randomUUID();
    logger.warn({ status, reason, requestId }, 'request refused');
    socket.end(refusalBytes(status, requestId));
    setTimeout(() => socket.destroy(), REFUSAL_TIMEOUT_MS).unref();
  }
}
