import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Requester, RequestTrace } from '../request-scope.ts';

/** What proxies make of ids, and nothing that could forge a log line or a header. */
const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;
const TRACE_PARENT = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;

/** The id that somebody before us gave a request, or a new one. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/**
 * What log lines tell of a request.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export function logFieldsOf({ id, headers }: FastifyRequest): ReturnType<Requester['logFields']> {
  const { traceparent } = headers;
  const traceId = typeof traceparent === 'string' ? TRACE_PARENT.exec(traceparent)?.[1] : undefined;
  return traceId === undefined ? { requestId: id } : { requestId: id, traceId };
}

/**
 * Whoever waits for an answer: until the deadline, or until the connection closes.
 *
 * Not an `AbortSignal`: making one and listening to it is a tenth of what a request of one device costs. Nor with a
 * getter: an object literal with one costs as much.
 *
 * @param timeoutMs From now.
 */
export function createRequester(
  request: FastifyRequest,
  { raw }: FastifyReply,
  timeoutMs: number,
  trace: RequestTrace | undefined,
): Requester {
  const callbacks: (() => void)[] = [];
  let ended: ReturnType<Requester['ended']>;

  function end(reason: 'late' | 'gone'): void {
    if (ended !== undefined) return;
    ended = reason;
    for (const callback of callbacks) callback();
  }

  // Where this process was late, answers may wait to be read: an immediate comes after that.
  const deadline = setTimeout(() => setImmediate(end, 'late'), timeoutMs);
  raw.once('close', () => {
    clearTimeout(deadline);
    if (!raw.writableFinished) end('gone');
  });
  return {
    endsAtMs: performance.now() + timeoutMs,
    ended: () => ended,
    logFields: () => ({ ...logFieldsOf(request), ...(trace && { traceId: trace.traceId }) }),
    trace,
    onEnd(callback) {
      callbacks.push(callback);
    },
  };
}
