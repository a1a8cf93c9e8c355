import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';

import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import type { GraphQLServer } from '../graphql/server.ts';
import { serveGraphiQL } from '../explorers/graphiql.ts';
import { answerPreflight, isStudioPreflight, shareWithStudio } from '../explorers/studio-origin.ts';
import type { Metrics } from '../observability/metrics.ts';
import { followRequests } from '../observability/request-outcome.ts';
import type { TraceRequest } from '../observability/tracing.ts';
import { boundConnections } from './connections.ts';
import { createGraphQLHandler } from './graphql-handler.ts';
import { createLoadShedding } from './load-shedding.ts';
import { refusalBytes, refuse, statusOf } from './refusal.ts';
import { MAX_BODY_BYTES, readBodies } from './request-body.ts';
import { createRequester, logFieldsOf, requestIdOf } from './requester.ts';
import { createSecretCheck, headersToFillIn, SECRET_HEADER } from './router-secret.ts';

const HEADERS_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 15_000;
/** Longer than routers (15 to 90 s) and load balancers (60 s) keep an idle connection: they are to close it, not we. */
const KEEP_ALIVE_TIMEOUT_MS = 95_000;
/** For what is under way when draining begins and still has all of its own time, to be read and answered. */
export const DRAIN_MARGIN_MS = 5000;
/** For a client to read why it was refused and to close, before its connection is destroyed. */
const REFUSAL_TIMEOUT_MS = 1000;

/** As Node reads it. */
const CONTINUE = /(?:^|\W)100-continue(?:$|\W)/i;

/** Of what never becomes a request; anything else is malformed. */
const UNREADABLE_STATUSES: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

export interface HttpServerOptions {
  readonly graphql: GraphQLServer;
  /** Most that one operation may ask for. */
  readonly maxDeviceTasks: number;
  readonly requestTimeoutMs: number;
  readonly routerSecret: string | undefined;
  readonly sandbox: boolean;
  readonly isReady: () => boolean;
  readonly metrics: Metrics;
  /** Where requests are traced. */
  readonly traceRequest: TraceRequest | undefined;
  readonly logger: Logger;
}

/**
 * The web server around GraphQL. Only `/graphql` asks for the secret, and where the sandbox is on not for what a browser
 * gets before anybody can have typed it: the page and the answer to a preflight, which hold no data.
 */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const { graphql, maxDeviceTasks, requestTimeoutMs, routerSecret, sandbox, isReady } = options;
  const { metrics, traceRequest, logger } = options;
  const allowedMethods = new Map([
    ['/graphql', sandbox ? 'GET, POST' : 'POST'],
    ...(sandbox ? [['/graphiql', 'GET'] as const] : []),
    ['/livez', 'GET'],
    ['/metrics', 'GET'],
    ['/readyz', 'GET'],
  ]);
  const isSecret = routerSecret === undefined ? undefined : createSecretCheck(routerSecret);

  const server = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: BODY_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 1000,
      // A missing Host is refused below, with a body like any other refusal, and so are two: joined, they are none.
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
    drainTimeoutMs: requestTimeoutMs + DRAIN_MARGIN_MS,
    logger,
  });

  const follow = followRequests(server, '/graphql', metrics, logger, traceRequest);
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    const path = request.url.split('?', 1)[0] as string;
    if (!isHost(request.headers.host)) return refuse(reply, 400);
    if (request.headers.expect !== undefined && !CONTINUE.test(request.headers.expect)) {
      logRefusal(request, 417);
      return refuse(reply, 417);
    }
    // Before the body is read, let alone parsed. The route counts, whatever the path looks like.
    const isGraphQL = path === '/graphql' || request.routeOptions.url === '/graphql';
    if (isGraphQL && sandbox) shareWithStudio(request, reply);
    const isSecretNeeded = isGraphQL && !(sandbox && (request.method === 'OPTIONS' || isForPage(request)));
    if (isSecretNeeded && isSecret?.(request.headers[SECRET_HEADER]) === false) return refuse(reply, 401);
    if (!request.is404) return;
    const allow = allowedMethods.get(path);
    return allow === undefined ? refuse(reply, 404) : refuse(reply.header('allow', allow), 405);
  });
  server.addHook('onSend', (_request, reply, payload, done) => {
    // A draining server keeps no connection, or closing would wait for the last of them to fall idle.
    if (!isReady()) void reply.header('connection', 'close');
    done(null, payload);
  });
  server.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    if (status === 500) {
      logger.error({ err: error, ...logFieldsOf(request) }, 'unforeseen error, masked');
    } else if (status !== 503) {
      // Overload is told by the metrics: a line for each would only add to it.
      logRefusal(request, status, (error as { readonly code?: string }).code);
    }
    // Fastify would close with the body unread, and the reset then overtakes the answer; left open, the rest is read and
    // discarded, for as long as a body may take.
    return refuse(reply.removeHeader('connection'), status);
  });

  const { largestBody, enter, isOverloaded } = createLoadShedding(server, maxDeviceTasks);
  readBodies(server, { largestBody, onArrival: ({ raw }) => connections.requestArrived(raw.socket) });
  // Node would answer these itself, or not at all.
  server.server.on('checkExpectation', (request, response) => server.routing(request, response));
  server.server.on('connect', (_, socket) => refuseUnreadable(socket, 400, 'CONNECT'));

  server.get('/livez', (_, reply) => reply.send({ status: 'ok' }));
  server.get('/readyz', (_, reply) => {
    if (!isReady()) return reply.code(503).send({ status: 'draining' });
    return isOverloaded() ? reply.code(503).send({ status: 'overloaded' }) : reply.send({ status: 'ok' });
  });
  server.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  server.post(
    '/graphql',
    createGraphQLHandler(graphql, (request, reply) => {
      enter(request, reply);
      const { trace, onAnswer } = follow(request, reply);
      return { requester: createRequester(request, reply, requestTimeoutMs, trace), onAnswer };
    }),
  );
  server.get('/graphql', async (request, reply) => {
    if (!isForPage(request)) return refuse(reply.header('allow', allowedMethods.get('/graphql')), 405);
    return sandbox ? sendLandingPage(await graphql.landingPage(), reply) : refuse(reply, 404);
  });
  if (sandbox) {
    server.options('/graphql', (request, reply) =>
      isStudioPreflight(request)
        ? answerPreflight(request, reply)
        : refuse(reply.header('allow', allowedMethods.get('/graphql')), 405),
    );
    serveGraphiQL(server, '/graphiql', headersToFillIn(routerSecret));
  }
  return server;

  function logRefusal(request: FastifyRequest, status: number, reason?: string): void {
    // Who leaves while sending is no news.
    const level = reason === 'ECONNRESET' ? 'debug' : 'warn';
    logger[level]({ status, method: request.method, reason, ...logFieldsOf(request) }, 'request refused');
  }

  /** For what is not even a request that a route could be found for. */
  function refuseUnreadable(socket: Duplex, status: number, reason: string): void {
    const requestId = randomUUID();
    logger.warn({ status, reason, requestId }, 'request refused');
    socket.end(refusalBytes(status, requestId));
    setTimeout(() => socket.destroy(), REFUSAL_TIMEOUT_MS).unref();
  }
}

/** @see https://www.rfc-editor.org/rfc/rfc9112#name-request-target for why any other Host is refused. */
function isHost(host: string | undefined): boolean {
  return host !== undefined && host !== '' && URL.canParse(`http://${host}/`);
}

/** Whether a browser asks for a page, rather than a program for data. */
function isForPage({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && (headers.accept?.includes('text/html') ?? false);
}

function sendLandingPage(page: string, reply: FastifyReply): FastifyReply {
  return reply
    .headers({
      'content-type': 'text/html',
      // Beside the policy that the page has in itself, where this has no effect.
      'content-security-policy': "frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    })
    .send(page);
}
