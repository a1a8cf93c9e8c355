import type { Verdict } from '../onenet-error.ts';
import { type DeviceTaskKey, pairId } from '../ota-task.ts';
import { createLastWords } from './last-words.ts';

const OPEN_MS = 5000;
const MIN_PAIRS = 20;
const FAILURE_SHARE = 0.5;
const MAX_PROBES = 3;
const MAJORITY = 2;
/** How long to wait for another pair to probe before a single success closes the circuit. */
const COMPANY_MS = 1000;
/** How long failed or hanging probes block new ones. */
const PATIENCE_MS = 5000;

export type CircuitStatus = 'closed' | 'open' | 'half-open';

export interface Circuit {
  /** While closed, attempts go out freely; while half open, the attempts it admits are probes. */
  readonly status: CircuitStatus;
  /**
   * Whether an attempt may go out. While half open, that needs a free probe and a pair that is not being probed
   * already.
   */
  admits(pair: DeviceTaskKey): boolean;
  /**
   * Registers an attempt that was admitted.
   *
   * @returns A pass, to be given to `leave` along with the verdict.
   */
  enter(pair: DeviceTaskKey): number;
  leave(pass: number, pair: DeviceTaskKey, verdict: Verdict): void;
}

/**
 * Opens when at least half of at least 20 pairs have failed in the last ten seconds. Only the latest result of a pair
 * counts, so a few bad devices cannot open it. After five seconds it admits up to three probes of different pairs, and
 * two equal verdicts decide. Attempts that began before the last change of status are ignored, because they say nothing
 * about OneNET's health now.
 *
 * @param now Milliseconds, from a monotonic clock.
 * @param onChange Called with each new status.
 */
export function createCircuit(now: () => number, onChange: (status: CircuitStatus) => void): Circuit {
  const words = createLastWords(now);
  let status: CircuitStatus = 'closed';
  /** Increases with each change of status; an attempt counts only in the era in which it began. */
  let era = 0;
  let changedMs = 0;
  const probes = new Map<string, Verdict | 'under way'>();
  let probedMs = 0;

  function change(to: CircuitStatus): void {
    status = to;
    era++;
    changedMs = now();
    words.reset();
    probes.clear();
    onChange(to);
  }

  function probesThat(state: Verdict | 'under way'): number {
    let count = 0;
    for (const probe of probes.values()) if (probe === state) count++;
    return count;
  }

  /**
   * Applies what time alone changes: an open circuit becomes half open, a single success closes it if no other pair is
   * probed in time, and failed or hanging probes make room for new ones.
   */
  function catchUp(): void {
    if (status === 'open') {
      if (now() - changedMs >= OPEN_MS) change('half-open');
      return;
    }
    const succeeded = probesThat('success') > 0;
    const waitMs = succeeded && probesThat('under way') === 0 ? COMPANY_MS : PATIENCE_MS;
    if (now() - probedMs < waitMs) return;
    if (succeeded) change('closed');
    else probes.clear();
  }

  return {
    get status() {
      return status;
    },
    admits(pair) {
      if (status !== 'closed') catchUp();
      if (status === 'closed') return true;
      return status === 'half-open' && probes.size < MAX_PROBES && !probes.has(pairId(pair));
    },
    enter(pair) {
      if (status === 'half-open') {
        probes.set(pairId(pair), 'under way');
        probedMs = now();
      }
      return era;
    },
    leave(pass, pair, verdict) {
      if (pass !== era) return;
      if (status === 'half-open') {
        if (verdict === 'nothing') probes.delete(pairId(pair));
        else probes.set(pairId(pair), verdict);
        if (probesThat('success') >= MAJORITY) change('closed');
        else if (probesThat('failure') >= MAJORITY) change('open');
      } else if (verdict !== 'nothing') {
        words.add(pair, verdict === 'failure');
        const { pairs, failures } = words;
        if (verdict === 'failure' && pairs >= MIN_PAIRS && failures >= FAILURE_SHARE * pairs) change('open');
      }
    },
  };
}
