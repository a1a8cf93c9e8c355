import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import { logFieldsOf } from '../observability/request-id.ts';

/**
 * Enough for routers, which keep a few dozen connections each, and for every request that may be in progress. A client
 * that sends its body slowly costs 17 KB and a file descriptor, an idle one 7 KB (resident memory, measured over 2000
 * connections of each).
 */
const MAX_CONNECTIONS = 4096;
export interface ConnectionOptions {
  /** Milliseconds that a client may take to read an answer, from its start. */
  readonly readTimeoutMs: number;
  /** Unread bytes of all answers together. */
  readonly maxUnreadBytes: number;
  /** Milliseconds that requests in progress may take once the server is closing. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
}

export interface Connections {
  /** Must be called when a request has arrived completely: from then on the client waits for us. */
  readonly requestArrived: (socket: Socket) => void;
  /** Whether an answer can be sent without being mistaken for part of another one. */
  readonly canAnswer: (socket: Socket) => boolean;
}

/** An answer that the client has not read completely. */
interface Unread {
  /** Undefined once the answer is read. See docs/performance.md for why a Map must not hold on to requests. */
  request: FastifyRequest | undefined;
  readonly bytes: number;
  readonly begunMs: number;
}

/**
 * Limits the connections and memory that slow clients can hold, and how long they can delay shutdown. Must be called
 * before any hook that refuses or counts requests is added.
 */
export function boundConnections(
  server: FastifyInstance,
  { readTimeoutMs, maxUnreadBytes, drainTimeoutMs, logger }: ConnectionOptions,
): Connections {
  const { server: node } = server;
  const closeIdleConnections = node.closeIdleConnections.bind(node);
  let connections = 0;
  /** Connections on which the client is to send something; the one that has waited longest comes first. */
  const waiting = new Set<Socket>();
  /** Unread answers, at most one per connection; the one that has gone unread for longest comes first. */
  const unread = new Map<Socket, Unread>();
  let unreadBytes = 0;
  let deadline: NodeJS.Timeout | undefined;
  /** Requests that were answered before their body had arrived. */
  const answeredEarly = new WeakMap<Socket, IncomingMessage>();
  let isClosing = false;

  node.on('connection', (socket: Socket) => {
    if (++connections > MAX_CONNECTIONS) makeRoom(socket);
    if (!socket.destroyed) waiting.add(socket);
    socket.once('close', () => {
      connections--;
      waiting.delete(socket);
      endAnswer(socket);
    });
  });

  // Pipelined requests are processed one after the other, so that the limits of one answer hold for all. Node gives a
  // response its socket only when its turn has come.
  server.addHook('onRequest', (_request, { raw }, done) => {
    if (raw.socket !== null) done();
    // Wait one tick, because the `close` of the previous answer is emitted in between.
    else raw.once('socket', () => process.nextTick(done));
  });
  server.addHook('onSend', (request, reply, payload, done) => {
    const { socket } = request.raw;
    if (socket.destroyed) {
      done(null, payload);
      return;
    }
    const answer = beginAnswer(request, bytesOf(payload, reply));
    reply.raw.once('close', () => endAnswer(socket));
    done(null, payload instanceof Readable ? Readable.from(inTurn(payload, socket, answer)) : payload);
  });

  // Node considers a connection idle once its answer has ended, even if most of the answer is still unread.
  node.closeIdleConnections = () => {
    isClosing = true;
    if (unread.size === 0) closeIdleConnections();
  };
  // While closing, Node neither cuts off slow senders nor treats connections that never sent anything as idle, so do
  // both here.
  server.addHook('preClose', async () => {
    for (const socket of waiting) if (socket.bytesRead === 0) socket.destroy();
    setTimeout(() => node.closeAllConnections(), drainTimeoutMs).unref();
  });

  /**
   * Destroys the connection that has been idle longest, else the slowest reader; the new one only if there is neither.
   */
  function makeRoom(newcomer: Socket): void {
    const [idlest] = waiting;
    const [slowest] = unread.keys();
    const socket = idlest ?? slowest ?? newcomer;
    socket.destroy();
    waiting.delete(socket);
    endAnswer(socket);
  }

  function beginAnswer(request: FastifyRequest, bytes: number): Unread {
    const { socket } = request.raw;
    const answer = { request, bytes, begunMs: performance.now() };
    waiting.delete(socket);
    unread.set(socket, answer);
    unreadBytes += bytes;
    deadline ??= setTimeout(cutOverdue, readTimeoutMs).unref();
    for (const slowest of unread.keys()) {
      if (unreadBytes <= maxUnreadBytes || slowest === socket) break;
      cut(slowest, 'too much unread, the slowest reader cut off');
    }
    return answer;
  }

  /**
   * Passes on an answer that comes in pieces. A client gets the next piece when it has read the previous one, which
   * moves it to the end of `unread`.
   */
  async function* inTurn(pieces: Readable, socket: Socket, answer: Unread): AsyncGenerator {
    for await (const piece of pieces) {
      if (!unread.delete(socket)) return;
      unread.set(socket, answer);
      yield piece;
    }
  }

  /** Called when the kernel has the whole answer, or the client has disconnected. */
  function endAnswer(socket: Socket): void {
    const answer = unread.get(socket);
    if (answer === undefined) return;
    unread.delete(socket);
    unreadBytes -= answer.bytes;
    if (!socket.destroyed) waiting.add(socket);
    if (answer.request?.raw.complete === false) answeredEarly.set(socket, answer.request.raw);
    answer.request = undefined;
    if (isClosing && unread.size === 0) closeIdleConnections();
  }

  /**
   * Destroys the connections of overdue answers. All answers share one timer, because hardly any is still unread when
   * it fires.
   */
  function cutOverdue(): void {
    const now = performance.now();
    let leftMs = readTimeoutMs;
    for (const [socket, { begunMs }] of unread) {
      const left = begunMs + readTimeoutMs - now;
      if (left <= 0) cut(socket, 'answer not read in time, connection destroyed');
      else leftMs = Math.min(leftMs, left);
    }
    deadline = unread.size === 0 ? undefined : setTimeout(cutOverdue, leftMs).unref();
  }

  function cut(socket: Socket, why: string): void {
    const { request } = unread.get(socket) as Unread;
    logger.warn(request && logFieldsOf(request), why);
    // A graceful close would leave the unread part of the answer in kernel buffers for minutes.
    socket.resetAndDestroy();
    endAnswer(socket);
  }

  return {
    requestArrived: (socket) => void waiting.delete(socket),
    canAnswer: (socket) => !unread.has(socket) && (answeredEarly.get(socket)?.complete ?? true),
  };
}

/** The memory that an answer takes until it is read. */
function bytesOf(payload: unknown, reply: FastifyReply): number {
  if (typeof payload === 'string') return payload.length;
  // A buffer is an explorer's page, which all readers share.
  return payload instanceof Readable ? Number(reply.getHeader('content-length')) : 0;
}
