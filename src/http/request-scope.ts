import type { FastifyReply, FastifyRequest } from 'fastify';

import { logFieldsOf } from '../observability/request-id.ts';
import type { RequestScope, RequestTrace } from '../request-scope.ts';

/**
 * Whoever waits for an answer: until the deadline, or until the connection closes.
 *
 * Not an `AbortSignal`: making one and listening to it is a tenth of what a request of one device costs. Nor with a
 * getter: an object literal with one costs as much.
 *
 * @param timeoutMs From now.
 */
export function createRequestScope(
  request: FastifyRequest,
  { raw }: FastifyReply,
  timeoutMs: number,
  trace: RequestTrace | undefined,
): RequestScope {
  const callbacks: (() => void)[] = [];
  let cancelReason: ReturnType<RequestScope['cancelReason']>;

  function cancel(reason: 'deadline' | 'disconnected'): void {
    if (cancelReason !== undefined) return;
    cancelReason = reason;
    for (const callback of callbacks) callback();
  }

  // Where this process was late, answers may wait to be read: an immediate comes after that.
  const deadline = setTimeout(() => setImmediate(cancel, 'deadline'), timeoutMs);
  raw.once('close', () => {
    clearTimeout(deadline);
    if (!raw.writableFinished) cancel('disconnected');
  });
  return {
    deadlineMs: performance.now() + timeoutMs,
    cancelReason: () => cancelReason,
    logFields: () => ({ ...logFieldsOf(request), ...(trace && { traceId: trace.traceId }) }),
    trace,
    onCancel(callback) {
      callbacks.push(callback);
    },
  };
}
