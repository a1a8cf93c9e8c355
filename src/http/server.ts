import type { ApolloServer } from '@apollo/server';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import type { GraphQLContext } from '../graphql/context.ts';
import type { Patience } from '../ota-task.ts';
import { decompress } from './decompress.ts';
import { errorBody, statusOf } from './error-body.ts';
import { createSecretCheck } from './router-secret.ts';

const MAX_BODY_BYTES = 2 * 1024 * 1024;
const HEADERS_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 15_000;
/** Longer than routers (15 to 90 s) and load balancers (60 s) keep an idle connection: they are to close it, not we. */
const KEEP_ALIVE_TIMEOUT_MS = 95_000;

const JSON_IN_UTF8 = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i;

export interface HttpServerOptions {
  readonly graphql: ApolloServer<GraphQLContext>;
  readonly createContext: (patience: Patience) => GraphQLContext;
  readonly requestTimeoutMs: number;
  readonly routerSecret: string | undefined;
  readonly sandbox: boolean;
  readonly isReady: () => boolean;
  readonly logger: Logger;
}

/** The web server around GraphQL. Only `/graphql` asks for the secret. */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const { logger, isReady, sandbox } = options;
  const server = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: BODY_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 1000 },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    clientErrorHandler(error, socket) {
      const status = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 }[error.code] ?? 400;
      if (!socket.writable || socket.bytesWritten > 0) return void socket.destroy(error);
      const body = errorBody(status);
      const head = `HTTP/1.1 ${status} \r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`;
      socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`);
    },
  });

  server.addHook('preParsing', decompress);

  // GraphQL parses its own JSON from here on: no other media type, and no other charset than JSON's.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    JSON_IN_UTF8,
    { parseAs: 'string' },
    server.getDefaultJsonParser('ignore', 'ignore'),
  );

  server.addHook('onSend', async (_request, reply, payload) => {
    // A draining server keeps no connection, or closing would wait for the last of them to fall idle.
    if (!isReady()) void reply.header('connection', 'close');
    return payload;
  });
  server.setNotFoundHandler((request, reply) => send(reply, isKnownPath(request.url) ? 405 : 404));
  server.setErrorHandler((error, request, reply) => {
    const status = statusOf(error);
    if (status === 500) logger.error({ err: error }, 'unforeseen error, masked');
    else
      logger.warn(
        { status, method: request.method, code: (error as { code?: string }).code },
        'request refused',
      );
    return send(reply, status);
  });

  server.get('/livez', (_, reply) => reply.send({ status: 'ok' }));
  server.get('/readyz', (_, reply) =>
    isReady() ? reply.send({ status: 'ok' }) : reply.code(503).send({ status: 'draining' }),
  );

  void server.register(async (scope) => {
    if (options.routerSecret !== undefined) {
      const isSecret = createSecretCheck(options.routerSecret);
      // Before the body is read, let alone parsed.
      scope.addHook('onRequest', async (request, reply) => {
        if (!isSecret(request.headers['router-authorization'])) return send(reply, 401);
      });
    }
    const handler = fastifyApolloHandler(options.graphql, {
      context: async (_, reply) => options.createContext(patienceOf(reply, options.requestTimeoutMs)),
    });
    scope.post('/graphql', handler);
    scope.get('/graphql', async (request, reply) => {
      if (!acceptsHtml(request)) return send(reply.header('allow', 'POST'), 405);
      return sandbox ? handler.call(scope, request, reply) : send(reply, 404);
    });
  });
  return server;
}

function send(reply: FastifyReply, status: number): FastifyReply {
  return reply.code(status).type('application/json; charset=utf-8').send(errorBody(status));
}

function isKnownPath(url: string): boolean {
  return ['/graphql', '/livez', '/readyz'].includes(url.split('?', 1)[0] as string);
}

function acceptsHtml(request: FastifyRequest): boolean {
  return request.headers.accept?.includes('text/html') ?? false;
}

/** One timer and one listener a request; `AbortSignal.any` and `AbortSignal.timeout` outlive the requests they are for. */
function patienceOf({ raw }: FastifyReply, timeoutMs: number): Patience {
  const controller = new AbortController();
  const deadline = setTimeout(() => {
    controller.abort(new DOMException('the request took too long', 'TimeoutError'));
  }, timeoutMs);
  raw.once('close', () => {
    clearTimeout(deadline);
    if (!raw.writableFinished) controller.abort();
  });
  return { signal: controller.signal, endsAtMs: performance.now() + timeoutMs };
}
