import type { FastifyReply, FastifyRequest } from 'fastify';

import { logFieldsOf } from '../observability/request-id.ts';
import type { Requester, RequestTrace } from '../request-scope.ts';

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
