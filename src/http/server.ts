import type { Socket } from 'node:net';

import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import type { GraphQLServer } from '../graphql/server.ts';
import type { TraceRequest } from '../observability/tracing.ts';
import { decompress } from './decompress.ts';
import { serveGraphiQL } from '../explorers/graphiql.ts';
import { createGraphQLHandler } from './graphql-handler.ts';
import { shedLoad } from './load-shedding.ts';
import type { Metrics } from '../observability/metrics.ts';
import { errorBody, refuse, statusOf } from './refusal.ts';
import { followRequests } from '../observability/request-outcome.ts';
import { createRequester, logFieldsOf, requestIdOf } from './requester.ts';
import { createSecretCheck, headersToFillIn, SECRET_HEADER } from './router-secret.ts';
import { answerPreflight, isStudioPreflight, shareWithStudio } from '../explorers/studio-origin.ts';

const MAX_BODY_BYTES = 2 * 1024 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 15_000;
/** Longer than routers (15 to 90 s) and load balancers (60 s) keep an idle connection: they are to close it, not we. */
const KEEP_ALIVE_TIMEOUT_MS = 95_000;
/** For what is under way when draining begins and still has all of its own time, to be read and answered. */
export const DRAIN_MARGIN_MS = 5000;

const JSON_IN_UTF8 = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i;

export interface HttpServerOptions {
  readonly graphql: GraphQLServer;
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
  const { graphql, requestTimeoutMs, routerSecret, sandbox, isReady } = options;
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
    // A missing Host is refused below, with a body like any other refusal.
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 1000, requireHostHeader: false },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    requestIdHeader: false,
    genReqId: requestIdOf,
    frameworkErrors: (error, _, reply) => void refuse(reply, statusOf(error)),
    clientErrorHandler: refuseUnreadable,
  });
  boundDraining(server, requestTimeoutMs + DRAIN_MARGIN_MS);

  const follow = followRequests(server, '/graphql', metrics, logger, traceRequest);
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    const path = request.url.split('?', 1)[0] as string;
    if (!isHost(request.headers.host)) return refuse(reply, 400);
    // Before the body is read, let alone parsed. The route counts, whatever the path looks like.
    const isGraphQL = path === '/graphql' || request.routeOptions.url === '/graphql';
    if (isGraphQL && sandbox) shareWithStudio(request, reply);
    const isSecretNeeded = isGraphQL && !(sandbox && (request.method === 'OPTIONS' || isForPage(request)));
    if (isSecretNeeded && isSecret?.(request.headers[SECRET_HEADER]) === false) return refuse(reply, 401);
    if (!request.is404) return;
    const allow = allowedMethods.get(path);
    return allow === undefined ? refuse(reply, 404) : refuse(reply.header('allow', allow), 405);
  });
  const isOverloaded = shedLoad(server, '/graphql');
  server.addHook('preParsing', decompress);
  server.addHook('onSend', async (_request, reply, payload) => {
    // A draining server keeps no connection, or closing would wait for the last of them to fall idle.
    if (!isReady()) void reply.header('connection', 'close');
    return payload;
  });
  server.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    if (status === 500) {
      logger.error({ err: error, ...logFieldsOf(request) }, 'unforeseen error, masked');
    } else {
      const reason = (error as { readonly code?: string }).code;
      // Who leaves while sending is no news.
      const level = reason === 'ECONNRESET' ? 'debug' : 'warn';
      logger[level]({ status, method: request.method, reason, ...logFieldsOf(request) }, 'request refused');
    }
    // Fastify would close with the body unread, and the reset then overtakes the answer; left open, the rest is read and
    // discarded, for as long as a body may take.
    return refuse(reply.removeHeader('connection'), status);
  });

  // No other media type, and no other charset than JSON's.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    JSON_IN_UTF8,
    { parseAs: 'string' },
    server.getDefaultJsonParser('ignore', 'ignore'),
  );

  server.get('/livez', (_, reply) => reply.send({ status: 'ok' }));
  server.get('/readyz', (_, reply) => {
    if (!isReady()) return reply.code(503).send({ status: 'draining' });
    return isOverloaded() ? reply.code(503).send({ status: 'overloaded' }) : reply.send({ status: 'ok' });
  });
  server.get('/metrics', async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  server.post(
    '/graphql',
    createGraphQLHandler(graphql, (request, reply) => {
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
}

/** For what is not even a request that a route could be found for. */
function refuseUnreadable(error: Error & { readonly code?: string }, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const statuses: Readonly<Record<string, number>> = {
    ERR_HTTP_REQUEST_TIMEOUT: 408,
    HPE_HEADER_OVERFLOW: 431,
  };
  const status = statuses[error.code ?? ''] ?? 400;
  const body = errorBody(status);
  const headers = [
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`HTTP/1.1 ${status} Refused\r\n${headers.join('\r\n')}\r\n\r\n${body}`);
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

/**
 * Once a server closes, Node cuts off no slow sender any more and does not count a connection that never sent anything
 * as idle: without this, whoever holds one open keeps the process from ending.
 */
function boundDraining(server: FastifyInstance, mostMs: number): void {
  const sockets = new Set<Socket>();
  server.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.addHook('preClose', async () => {
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    setTimeout(() => server.server.closeAllConnections(), mostMs).unref();
  });
}
