import type { TakeTurn } from '../ask-ota-tasks.ts';

/** What a call that was late for its turn may make up for; calls that are rarer than that are never late by much of a turn. */
const CATCH_UP_MS = 50;

/**
 * Spreads calls evenly over time, as the generic cell rate algorithm does: no second has more than a tenth above its
 * number, and none of the numbers of ten seconds is exceeded by more than a hundredth.
 *
 * @param now Milliseconds, from a clock that only moves forward.
 */
export function createQuota(callsPerSecond: number, now: () => number): TakeTurn {
  const intervalMs = 1000 / callsPerSecond;
  const catchUpMs = catchUpOf(intervalMs);
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

/** With this much for calls that are rare, too, three a second would be four. */
export function catchUpOf(intervalMs: number): number {
  return intervalMs < CATCH_UP_MS ? CATCH_UP_MS : 0;
}

/** Has the last of those who want to be called back called back, once, after so many milliseconds. */
export function createWake(): (ms: number, retry: () => void) => void {
  let timer: NodeJS.Timeout | undefined;
  return (ms, retry) => {
    clearTimeout(timer);
    timer = setTimeout(retry, ms);
  };
}
