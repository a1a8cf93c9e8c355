import type { TakeTurn } from '../ask-ota-tasks.ts';

/** How far calls may catch up after a delay of timers or the event loop, instead of losing their turns. */
const CATCH_UP_MS = 50;

/**
 * Spreads calls evenly over time with the generic cell rate algorithm, so that no second has more than a tenth above
 * the quota.
 *
 * @param now Milliseconds, from a monotonic clock.
 */
export function createQuota(callsPerSecond: number, now: () => number): TakeTurn {
  const intervalMs = 1000 / callsPerSecond;
  // At low rates a delay is small compared with a turn, and catching up would make four calls a second out of three.
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

/** Creates a timer that calls the most recent `retry` once. Each use replaces the one before. */
export function createWake(): (ms: number, retry: () => void) => void {
  let timer: NodeJS.Timeout | undefined;
  return (ms, retry) => {
    clearTimeout(timer);
    timer = setTimeout(retry, ms);
  };
}
