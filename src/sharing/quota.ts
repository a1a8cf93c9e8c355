import type { TakeTurn } from '../ask-ota-tasks.ts';

/** How late calls may be for their turns without losing them: timers and the event loop are. */
const CATCH_UP_MS = 50;

/**
 * Spreads calls evenly over time, as the generic cell rate algorithm does: no second has more than a tenth above the
 * quota.
 *
 * @param now Milliseconds, from a clock that only moves forward.
 */
export function createQuota(callsPerSecond: number, now: () => number): TakeTurn {
  const intervalMs = 1000 / callsPerSecond;
  // Calls that are rare are never late by much of a turn; and with this much, three a second would be four.
  const catchUpMs = intervalMs < CATCH_UP_MS ? CATCH_UP_MS : 0;
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

/** Has the last of those who want to be called back called back, once, after so many milliseconds. */
export function createWake(): (ms: number, retry: () => void) => void {
  let timer: NodeJS.Timeout | undefined;
  return (ms, retry) => {
    clearTimeout(timer);
    timer = setTimeout(retry, ms);
  };
}
