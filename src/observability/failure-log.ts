import type { Logger } from 'pino';

import type { FailedCall } from '../onenet/observer.ts';

/** Lines of one kind that may be logged at once; after that, `LINES_PER_SECOND`. */
const BURST = 10;
const LINES_PER_SECOND = 1;

/**
 * Logs failed calls to OneNET, once each. In a flood of one kind of failure it logs only some, and its next line states
 * how many were suppressed. The metrics count them all.
 *
 * @param now Milliseconds, from a monotonic clock.
 */
export function createFailureLog(logger: Logger, now: () => number): (call: FailedCall) => void {
  const kinds = new Map<string, { lines: number; countedMs: number; suppressed: number }>();

  return ({ key, scope, error, attempts }) => {
    const { reason, errno, detail } = error;
    const nowMs = now();
    let kind = kinds.get(reason);
    if (kind === undefined) kinds.set(reason, (kind = { lines: BURST, countedMs: nowMs, suppressed: 0 }));
    kind.lines = Math.min(BURST, kind.lines + ((nowMs - kind.countedMs) / 1000) * LINES_PER_SECOND);
    kind.countedMs = nowMs;
    if (kind.lines < 1) {
      kind.suppressed++;
      return;
    }
    kind.lines--;
    const { suppressed } = kind;
    kind.suppressed = 0;
    logger.warn(
      {
        result: reason,
        errno,
        detail,
        attempts,
        deviceId: key.deviceId,
        productId: key.productId,
        otaType: key.type,
        ...scope.logFields(),
        ...(suppressed === 0 ? {} : { suppressed }),
      },
      'call to OneNET failed',
    );
  };
}
