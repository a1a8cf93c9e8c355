import type { Verdict } from '../onenet-error.ts';
import { type DeviceTaskKey, pairId } from '../ota-task.ts';
import { createLastWords } from './last-words.ts';

const OPEN_MS = 5000;
const MIN_PAIRS = 20;
const FAILURE_SHARE = 0.5;
const MAX_PROBES = 3;
const MAJORITY = 2;
/** How long one probe that succeeded waits for others to be asked for. */
const COMPANY_MS = 1000;
/** How long probes that failed, or hang, keep others from being made. */
const PATIENCE_MS = 5000;

export type CircuitStatus = 'closed' | 'open' | 'half-open';

export interface Circuit {
  /** Only while it is closed do attempts go out freely; those that are let through while it is half open are probes. */
  readonly status: CircuitStatus;
  /** Whether an attempt may go out: not while it is open, nor while it is half open and has enough probes or one of this pair. */
  admits(pair: DeviceTaskKey): boolean;
  /**
   * An attempt that it admits goes out.
   *
   * @returns What the attempt must give back with its verdict.
   */
  enter(pair: DeviceTaskKey): number;
  leave(pass: number, pair: DeviceTaskKey, verdict: Verdict): void;
}

/**
 * Opens when at least half of at least 20 pairs failed in the last ten seconds, each by its last word, so that nobody opens
 * it with a few bad devices. After five seconds it lets up to three probes of different pairs through, most of which
 * decide. While it is not closed they alone do: what began before says nothing of OneNET's health now.
 *
 * @param now Milliseconds, from a clock that only moves forward.
 * @param onChange Told of each new status.
 */
export function createCircuit(now: () => number, onChange: (status: CircuitStatus) => void): Circuit {
  const words = createLastWords(now);
  let status: CircuitStatus = 'closed';
  /** Grows with each change: an attempt counts only if there was none since it began. */
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

  /** What time alone changes: where too few pairs are asked for, or answer, one success is enough, or all may try again. */
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
