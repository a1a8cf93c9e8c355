import { createRollingCounts } from './rolling-counts.ts';

const OPEN_MS = 5000;
const MIN_ATTEMPTS = 20;
const FAILURE_SHARE = 0.5;

export type CircuitStatus = 'closed' | 'open' | 'half-open';

/** What an attempt says of OneNET's health; nothing, where the caller broke it off. */
export type Verdict = 'success' | 'failure' | 'nothing';

/** What an attempt that was let through must give back with its verdict. */
type Pass = 'attempt' | 'probe';

export interface Circuit {
  /** Only while it is closed do attempts go out freely. */
  readonly status: CircuitStatus;
  /** Lets an attempt through unless the circuit is open; while it is half open, only one is under way, the probe. */
  enter(): Pass | undefined;
  leave(pass: Pass, verdict: Verdict): void;
}

/**
 * Opens when at least half of at least 20 attempts of the last ten seconds failed, and lets a probe through after five
 * seconds. While it is not closed, the probe alone decides: what began before says nothing of OneNET's health now.
 *
 * @param now Milliseconds, from a clock that only moves forward.
 * @param onChange Told of each new status.
 */
export function createCircuit(now: () => number, onChange: (status: CircuitStatus) => void): Circuit {
  const counts = createRollingCounts(['success', 'failure'], now);
  let status: CircuitStatus = 'closed';
  let openUntilMs = 0;

  function change(to: CircuitStatus): void {
    status = to;
    onChange(to);
  }

  function open(): void {
    openUntilMs = now() + OPEN_MS;
    change('open');
  }

  return {
    get status() {
      return status;
    },
    enter() {
      if (status === 'closed') return 'attempt';
      if (status === 'half-open' || now() < openUntilMs) return undefined;
      change('half-open');
      return 'probe';
    },
    leave(pass, verdict) {
      if (pass === 'probe') {
        if (verdict !== 'success') {
          open();
        } else {
          counts.reset();
          change('closed');
        }
      } else if (status === 'closed' && verdict !== 'nothing') {
        counts.add(verdict);
        const failures = counts.count('failure');
        const attempts = failures + counts.count('success');
        if (verdict === 'failure' && attempts >= MIN_ATTEMPTS && failures >= FAILURE_SHARE * attempts) open();
      }
    },
  };
}
