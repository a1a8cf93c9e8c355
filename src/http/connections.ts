import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';

import { logFieldsOf } from '../observability/request-id.ts';

/**
 * Routers keep some dozens each, and as many requests as may be under way must fit in. One that sends a body slowly costs
 * 17 KB and a file descriptor, an idle one 7 KB (resident memory, over 2000 of each).
 */
const MAX_CONNECTIONS = 4096;
/** Of all answers that wait to be read. */
const MAX_UNREAD_BYTES = 48 * 1024 * 1024;
/** In characters. Of a longer answer Node is given a piece at a time: it would hold all of it until the end of its writing. */
const LONG_ANSWER = 1024 * 1024;
const PIECE_BYTES = 128 * 1024;

export interface ConnectionOptions {
  /** How long a client may take to read an answer, in milliseconds from when it begins. */
  readonly readTimeoutMs: number;
  /** How long what is under way may take once the server closes, in milliseconds. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
}

export interface Connections {
  /** To be told when a request has come whole: from then on it is the client that waits. */
  readonly requestArrived: (socket: Socket) => void;
  /** Whether nothing is on its way to the client that another answer could be mistaken for. */
  readonly canAnswer: (socket: Socket) => boolean;
}

/** An answer that waits to be read. */
interface Unread {
  readonly request: FastifyRequest;
  readonly bytes: number;
  readonly begunMs: number;
}

/**
 * Bounds what clients that send or read slowly can hold: connections, memory, and the end of the process. To be called
 * before any hook that refuses or counts requests.
 */
export function boundConnections(
  server: FastifyInstance,
  { readTimeoutMs, drainTimeoutMs, logger }: ConnectionOptions,
): Connections {
  const { server: node } = server;
  const closeIdleConnections = node.closeIdleConnections.bind(node);
  let connections = 0;
  /** Those over which the client is to send something; first the one that has waited longest for it. */
  const waiting = new Set<Socket>();
  /** Over a connection there is one at a time; first the one that nobody has read from for longest. */
  const unread = new Map<Socket, Unread>();
  let unreadBytes = 0;
  let deadline: NodeJS.Timeout | undefined;
  /** Requests that were answered before their bodies had come. */
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

  // Whoever sends more requests before the first is answered gets one answer after the other, so that what bounds one
  // answer bounds them all. Until its turn has come, Node gives an answer no socket.
  server.addHook('onRequest', (_request, { raw }, done) => {
    if (raw.socket !== null) done();
    // A tick later, for the end of the answer before is told in between.
    else raw.once('socket', () => process.nextTick(done));
  });
  server.addHook('onSend', (request, reply, payload, done) => {
    const { socket } = request.raw;
    if (socket.destroyed) {
      done(null, payload);
      return;
    }
    // A buffer is a page that all its readers share.
    const answer = beginAnswer(request, typeof payload === 'string' ? payload.length : 0);
    reply.raw.once('close', () => endAnswer(socket));
    if (typeof payload === 'string' && payload.length > LONG_ANSWER) {
      const bytes = Buffer.from(payload);
      void reply.header('content-length', bytes.length);
      done(null, Readable.from(piecesOf(bytes, socket, answer)));
    } else {
      done(null, payload);
    }
  });

  // Node takes a connection for idle once its answer has ended, though most of that may still wait to be read.
  node.closeIdleConnections = () => {
    isClosing = true;
    if (unread.size === 0) closeIdleConnections();
  };
  // Nor does it cut off slow senders any more, or take for idle who never sent anything.
  server.addHook('preClose', async () => {
    for (const socket of waiting) if (socket.bytesRead === 0) socket.destroy();
    setTimeout(() => node.closeAllConnections(), drainTimeoutMs).unref();
  });

  /** The newcomer gives way only where everybody else is being served. */
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
      if (unreadBytes <= MAX_UNREAD_BYTES || slowest === socket) break;
      cut(slowest, 'too much unread, the slowest reader cut off');
    }
    return answer;
  }

  /** Who asks for a piece has read the one before, and moves to the end. */
  function* piecesOf(bytes: Buffer, socket: Socket, answer: Unread): Generator<Buffer> {
    for (let from = 0; from < bytes.length && unread.delete(socket); from += PIECE_BYTES) {
      unread.set(socket, answer);
      yield bytes.subarray(from, from + PIECE_BYTES);
    }
  }

  /** The kernel has all of it, or the client has left. */
  function endAnswer(socket: Socket): void {
    const answer = unread.get(socket);
    if (answer === undefined) return;
    unread.delete(socket);
    unreadBytes -= answer.bytes;
    if (!socket.destroyed) waiting.add(socket);
    if (!answer.request.raw.complete) answeredEarly.set(socket, answer.request.raw);
    if (isClosing && unread.size === 0) closeIdleConnections();
  }

  /** One timer for all: hardly an answer lives to see it. */
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
    logger.warn(logFieldsOf(request), why);
    // An orderly close would leave what the kernel holds of the answer there for minutes.
    socket.resetAndDestroy();
    endAnswer(socket);
  }

  return {
    requestArrived: (socket) => void waiting.delete(socket),
    canAnswer: (socket) => !unread.has(socket) && (answeredEarly.get(socket)?.complete ?? true),
  };
}
