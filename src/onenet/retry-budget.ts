import { createRollingCounts } from './rolling-counts.ts';

const RESERVE = 10;
const SHARE_OF_CALLS = 0.1;

export interface RetryBudget {
  countCall(): void;
  /** Whether one more retry may go out; counts it if so. */
  take(): boolean;
}

/**
 * Keeps an outage from being amplified: in any ten seconds at most one retry for every ten calls, and ten more.
 *
 * @param now Milliseconds, from a clock that only moves forward.
 */
export function createRetryBudget(now: () => number): RetryBudget {
  const counts = createRollingCounts(['call', 'retry'], now);
  return {
    countCall() {
      counts.add('call');
    },
    take() {
      if (counts.count('retry') + 1 > RESERVE + SHARE_OF_CALLS * counts.count('call')) return false;
      counts.add('retry');
      return true;
    },
  };
}
