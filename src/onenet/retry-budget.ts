import { createRollingCounts } from './rolling-counts.ts';

const RESERVE = 10;
const SHARE_OF_CALLS = 0.1;

export interface RetryBudget {
  countCall(): void;
  /** Returns whether one more retry may be sent, and counts it if so. */
  take(): boolean;
}

/**
 * Keeps retries from amplifying an outage: in any ten seconds, one retry for every ten calls, plus ten.
 *
 * @param now Milliseconds, from a monotonic clock.
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
