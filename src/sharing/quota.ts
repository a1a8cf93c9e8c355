import type { TakeTurn } from '../ask-ota-tasks.ts';

/** How far calls may catch up after a delay of timers or the event loop, instead of losing their turns. */
const CATCH_UP_MS = 50;
/** Calls further apart than this may not come closer to each other, or a second has more than a fifth too many. */
export const RARE_MS = 200;

/**
 * Spreads calls evenly over time with the generic cell rate algorithm, so that no second has more than a tenth above
 * the quota.
 *
 * @param now Milliseconds, from a monotonic clock.
 */
export function createQuota(callsPerSecond: number, now: () => number): TakeTurn {
  const intervalMs = 1000 / callsPerSecond;
  // With this much for calls that are rare, five a second would be six.
  const catchUpMs = intervalMs < RARE_MS ? CATCH_UP_MS : 0;
  const wake = createWake();
  let dueMs = -Infinity;

  return (_waiting, retry) => {
    const nowMs = now();
    dueMs = Math.max(dueMs, nowMs - catchUpMs);
    if (dueMs > nowMs) {
      wake(dueMs - nowMs, retry);
      return false;
    }
    dueMs += intervalMs;
    return true;
  };
}

/** Calls the last callback once, after the least of the milliseconds that it was told since it last did. */
export function createWake(): (ms: number, retry: () => void) => void {
  let timer: NodeJS.Timeout | undefined;
  let wakesAtMs = Infinity;
  let callback: () => void;
  return (ms, retry) => {
    callback = retry;
    const atMs = performance.now() + ms;
    if (atMs >= wakesAtMs) return;
    clearTimeout(timer);
    wakesAtMs = atMs;
    timer = setTimeout(() => {
      wakesAtMs = Infinity;
      callback();
    }, ms);
  };
}

/** Also tells whether calls wait for their turns: from the first that got none until none waits. */
export function watchTurns(takeTurn: TakeTurn): {
  readonly takeTurn: TakeTurn;
  readonly isOutOfTurns: () => boolean;
} {
  let isOutOfTurns = false;
  return {
    takeTurn(waiting, retry) {
      const isTaken = takeTurn(waiting, retry);
      if (!isTaken) isOutOfTurns = true;
      else if (waiting <= 1) isOutOfTurns = false;
      return isTaken;
    },
    isOutOfTurns: () => isOutOfTurns,
  };
}
