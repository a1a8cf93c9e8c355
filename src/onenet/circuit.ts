import { circuitBreaker, CircuitState, handleWhen, type IBreaker, isBrokenCircuitError } from 'cockatiel';

import { OneNetUnreachableError } from './errors.ts';
import { createRollingCounts } from './rolling-counts.ts';

const OPEN_MS = 5000;
const MIN_ATTEMPTS = 20;
const FAILURE_SHARE = 0.5;

type CircuitStatus = 'closed' | 'open' | 'half-open';

export interface Circuit {
  /** Whether attempts go out freely. */
  isClosed(): boolean;
  /**
   * Runs an attempt unless the circuit is open; while it is half open, only one is under way, the probe.
   *
   * @param attempt Rejects with what speaks against OneNET's health; what it resolves to, an error that is an answer
   * included, speaks for it. A rejection that the caller caused speaks neither way.
   * @throws OneNetUnreachableError when the circuit is open.
   */
  run<T>(attempt: (probing: boolean) => Promise<T>): Promise<T>;
}

/**
 * Opens when at least half of at least 20 attempts of the last ten seconds failed, and lets a probe through after five.
 *
 * @param now Milliseconds, from a clock that only moves forward.
 * @param onChange Told of each new status.
 */
export function createCircuit(now: () => number, onChange: (status: CircuitStatus) => void): Circuit {
  const policy = circuitBreaker(handleWhen(speaksAgainstHealth), {
    halfOpenAfter: OPEN_MS,
    breaker: createBreaker(now),
  });
  policy.onStateChange((state) => onChange(STATUS[state]));
  return {
    isClosed: () => policy.state === CircuitState.Closed,
    async run(attempt) {
      // The policy would let others wait for the probe; they are told at once instead.
      if (policy.state === CircuitState.HalfOpen) throw new OneNetUnreachableError('circuit-open');
      try {
        return await policy.execute(() => attempt(policy.state !== CircuitState.Closed));
      } catch (error) {
        throw isBrokenCircuitError(error) ? new OneNetUnreachableError('circuit-open') : error;
      }
    },
  };
}

const STATUS: Readonly<Record<CircuitState, CircuitStatus>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
  [CircuitState.Isolated]: 'open',
};

function speaksAgainstHealth(error: Error): boolean {
  return !(error instanceof OneNetUnreachableError && error.reason === 'canceled');
}

/** The library's own sampling breaker forgets one bucket a call, so that after a quiet hour old failures still count. */
function createBreaker(now: () => number): IBreaker {
  const counts = createRollingCounts(['success', 'failure'], now);
  return {
    state: undefined,
    success(state) {
      if (state === CircuitState.HalfOpen) counts.reset();
      counts.add('success');
    },
    failure(state) {
      counts.add('failure');
      if (state !== CircuitState.Closed) return true;
      const failures = counts.count('failure');
      const attempts = failures + counts.count('success');
      return attempts >= MIN_ATTEMPTS && failures >= FAILURE_SHARE * attempts;
    },
  };
}
