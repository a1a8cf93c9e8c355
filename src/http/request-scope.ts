import type { FastifyReply, FastifyRequest } from 'fastify';

import { logFieldsOf } from '../observability/request-id.ts';
import type { RequestScope, RequestTrace } from '../request-scope.ts';

/**
 * Creates the scope of a request, which is canceled when the deadline passes or the connection closes.
 *
 * It is not an `AbortSignal`, since creating one and listening to it takes a tenth of the cost of a request for one
 * device; and it has no getter, since an object literal with a getter costs as much.
 *
 * @param timeoutMs Milliseconds from now.
 */
export function createRequestScope(
  { id, headers }: FastifyRequest,
  { raw }: FastifyReply,
  timeoutMs: number,
  trace: RequestTrace | undefined,
): RequestScope {
  let callbacks: (() => void)[] = [];
  let cancelReason: ReturnType<RequestScope['cancelReason']>;

  function cancel(reason: 'deadline' | 'disconnected'): void {
    if (cancelReason !== undefined) return;
    cancelReason = reason;
    for (const callback of callbacks) callback();
  }

  // If this process was stalled, answers may be waiting to be read. An immediate runs after they have been.
  const deadline = setTimeout(() => setImmediate(cancel, 'deadline'), timeoutMs);
  // It holds on to neither the request nor the reply, because calls that have ended hold on to the scope for a while.
  raw.once('close', function (this: typeof raw) {
    clearTimeout(deadline);
    if (!this.writableFinished) cancel('disconnected');
    callbacks = [];
  });
  return {
    deadlineMs: performance.now() + timeoutMs,
    cancelReason: () => cancelReason,
    logFields: () => ({ ...logFieldsOf({ id, headers }), ...(trace && { traceId: trace.traceId }) }),
    trace,
    onCancel(callback) {
      callbacks.push(callback);
    },
  };
}
