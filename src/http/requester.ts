import type { FastifyReply } from 'fastify';

import type { Requester } from '../ota-task.ts';

/**
 * Whoever waits for an answer: until the deadline, or until the connection closes.
 *
 * Not an `AbortSignal`: making one and listening to it is a tenth of what a request of one device costs.
 *
 * @param timeoutMs From now.
 */
export function createRequester({ raw }: FastifyReply, timeoutMs: number): Requester {
  const callbacks: (() => void)[] = [];
  let ended: ReturnType<Requester['ended']>;

  function end(reason: 'late' | 'gone'): void {
    if (ended !== undefined) return;
    ended = reason;
    for (const callback of callbacks) callback();
  }

  const deadline = setTimeout(end, timeoutMs, 'late');
  raw.once('close', () => {
    clearTimeout(deadline);
    if (!raw.writableFinished) end('gone');
  });
  return {
    endsAtMs: performance.now() + timeoutMs,
    ended: () => ended,
    onEnd(callback) {
      callbacks.push(callback);
    },
  };
}
