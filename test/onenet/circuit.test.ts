import { describe, expect, it } from 'vitest';

import { type CircuitStatus, createCircuit } from '../../src/onenet/circuit.ts';
import type { Verdict } from '../../src/onenet-error.ts';
import type { DeviceTaskKey } from '../../src/ota-task.ts';

function fota(deviceId: string): DeviceTaskKey {
  return { deviceId, type: 'FOTA' };
}

/** A circuit whose clock the test controls. */
function startCircuit() {
  const clock = { ms: 1_000_000 };
  const changes: CircuitStatus[] = [];
  const circuit = createCircuit(
    () => clock.ms,
    (status) => changes.push(status),
  );
  /** Makes an attempt that ends at once; returns whether it was admitted. */
  const attempt = (pair: string, verdict: Verdict): boolean => {
    if (!circuit.admits(fota(pair))) return false;
    circuit.leave(circuit.enter(fota(pair)), fota(pair), verdict);
    return true;
  };
  const attempts = (count: number, prefix: string, verdict: Verdict): void => {
    for (let i = 0; i < count; i++) attempt(`${prefix}${i}`, verdict);
  };
  const pass = (ms: number): void => {
    clock.ms += ms;
  };
  const open = (): void => {
    attempts(20, 'ill', 'failure');
    expect(circuit.status).toBe('open');
    changes.length = 0;
  };
  return { circuit, changes, attempt, attempts, pass, open };
}

describe('the closed circuit', () => {
  it('opens when half of twenty pairs have failed', () => {
    const { circuit, attempts, changes } = startCircuit();
    attempts(10, 'good', 'success');
    attempts(9, 'bad', 'failure');
    expect(circuit.status).toBe('closed');
    attempts(10, 'bad', 'failure');
    expect([circuit.status, changes]).toEqual(['open', ['open']]);
  });

  it('stays closed while fewer than half of the pairs have failed', () => {
    const { circuit, attempts } = startCircuit();
    attempts(1000, 'good', 'success');
    attempts(999, 'bad', 'failure');
    expect(circuit.status).toBe('closed');
  });

  it('counts a pair once, however often it is asked for', () => {
    const { circuit, attempt, attempts, pass } = startCircuit();
    attempts(18, 'good', 'success');
    for (let i = 0; i < 60_000; i++) {
      attempt('bad', 'failure');
      pass(1);
    }
    expect(circuit.status).toBe('closed');
    for (let i = 0; i < 1000; i++) attempt('good', 'success');
    attempts(19, 'bad', 'failure');
    expect(circuit.status).toBe('open');
  });

  it.each([
    ['failure', 'success', 'closed'],
    ['success', 'failure', 'open'],
  ] as const)('counts only the latest result of a pair: %s, then %s', (first, last, status) => {
    const { circuit, attempts } = startCircuit();
    attempts(19, 'pair', first);
    attempts(20, 'pair', last);
    expect(circuit.status).toBe(status);
  });

  it('counts FOTA and SOTA of a device as two pairs', () => {
    const { circuit } = startCircuit();
    for (let i = 0; i < 10; i++)
      for (const type of ['FOTA', 'SOTA'] as const) {
        const pair = { deviceId: `bad${i}`, type };
        circuit.leave(circuit.enter(pair), pair, 'failure');
      }
    expect(circuit.status).toBe('open');
  });

  it('forgets results after ten seconds', () => {
    const { circuit, attempts, pass } = startCircuit();
    attempts(15, 'early', 'failure');
    pass(11_000);
    attempts(15, 'deadline', 'failure');
    expect(circuit.status).toBe('closed');
    attempts(20, 'deadline', 'failure');
    expect(circuit.status).toBe('open');
  });

  it('does not count attempts without a verdict', () => {
    const { circuit, attempts } = startCircuit();
    attempts(1000, 'left', 'nothing');
    expect(circuit.status).toBe('closed');
  });

  it('tracks the share of failures in little memory, however many pairs there are', () => {
    const { circuit, attempt, attempts } = startCircuit();
    for (let i = 0; i < 400_000; i++) attempt(`pair${i}`, i % 5 < 2 ? 'failure' : 'success');
    expect(circuit.status).toBe('closed');
    attempts(200_000, 'ill', 'failure');
    expect(circuit.status).toBe('open');
  });
});

describe('the open circuit', () => {
  it('admits no attempt for five seconds', () => {
    const { open, attempt, pass } = startCircuit();
    open();
    expect(attempt('a', 'success')).toBe(false);
    pass(4999);
    expect(attempt('a', 'success')).toBe(false);
    pass(1);
    expect(attempt('a', 'success')).toBe(true);
  });

  it('ignores attempts that began before it opened', () => {
    const { circuit, open, pass, attempt } = startCircuit();
    const early = Array.from(
      { length: 40 },
      (_, i) => [circuit.enter(fota(`early${i}`)), `early${i}`] as const,
    );
    const leave = (verdict: Verdict, from: number): void => {
      for (const [pass_, pair] of early.slice(from, from + 20)) circuit.leave(pass_, fota(pair), verdict);
    };
    open();
    leave('success', 0);
    expect(circuit.status).toBe('open');
    pass(5000);
    expect([attempt('a', 'success'), attempt('b', 'success')]).toEqual([true, true]);
    expect(circuit.status).toBe('closed');
    leave('failure', 20);
    expect(circuit.status).toBe('closed');
  });
});

describe('the half-open circuit', () => {
  function startHalfOpen() {
    const circuit = startCircuit();
    circuit.open();
    circuit.pass(5000);
    const probe = (pair: string): ((verdict: Verdict) => void) => {
      expect(circuit.circuit.admits(fota(pair)), pair).toBe(true);
      const permit = circuit.circuit.enter(fota(pair));
      return (verdict) => circuit.circuit.leave(permit, fota(pair), verdict);
    };
    return { ...circuit, probe };
  }

  it('admits three probes, each of a different pair', () => {
    const { circuit, probe } = startHalfOpen();
    probe('a');
    expect(circuit.admits(fota('a'))).toBe(false);
    probe('b');
    probe('c');
    for (const pair of ['a', 'b', 'c', 'd']) expect(circuit.admits(fota(pair))).toBe(false);
    expect(circuit.status).toBe('half-open');
  });

  it.each<[string, Verdict[], CircuitStatus]>([
    ['two successes', ['success', 'success'], 'closed'],
    ['two failures', ['failure', 'failure'], 'open'],
    ['a success between failures', ['failure', 'success', 'failure'], 'open'],
    ['a failure between successes', ['success', 'failure', 'success'], 'closed'],
    ['one of each', ['success', 'failure'], 'half-open'],
    ['a success', ['success'], 'half-open'],
    ['a failure', ['failure'], 'half-open'],
  ])('changes as soon as the majority is certain: %s', (_, verdicts, status) => {
    const { circuit, probe } = startHalfOpen();
    const ends = ['a', 'b', 'c'].map(probe);
    verdicts.forEach((verdict, i) => ends[i]?.(verdict));
    expect(circuit.status).toBe(status);
  });

  it('ignores probes that end after the decision', () => {
    const { circuit, probe, pass, changes } = startHalfOpen();
    const [a, b, c] = ['a', 'b', 'c'].map(probe) as [
      (v: Verdict) => void,
      (v: Verdict) => void,
      (v: Verdict) => void,
    ];
    a('failure');
    b('failure');
    c('success');
    expect(circuit.status).toBe('open');
    pass(5000);
    probe('d')('success');
    expect(circuit.status).toBe('half-open');
    c('success');
    expect(changes).toEqual(['half-open', 'open', 'half-open']);
  });

  it('admits another probe in place of one without a verdict', () => {
    const { circuit, probe } = startHalfOpen();
    const ends = ['a', 'b', 'c'].map(probe);
    for (const end of ends) end('nothing');
    for (const pair of ['a', 'd']) probe(pair)('success');
    expect(circuit.status).toBe('closed');
  });

  it('starts counting from zero once it is closed', () => {
    const { circuit, probe, attempts } = startHalfOpen();
    for (const pair of ['a', 'b']) probe(pair)('success');
    attempts(19, 'bad', 'failure');
    expect(circuit.status).toBe('closed');
    attempts(20, 'bad', 'failure');
    expect(circuit.status).toBe('open');
  });

  it('is neither kept open nor reopened by a client that hammers one bad pair', () => {
    const { circuit, attempt, pass, probe } = startHalfOpen();
    const hammer = (ms: number): void => {
      for (let i = 0; i < ms; i += 3) {
        attempt('bad', 'failure');
        pass(3);
      }
    };
    hammer(30_000);
    expect(circuit.status).toBe('half-open');
    probe('good1')('success');
    hammer(30);
    probe('good2')('success');
    expect(circuit.status).toBe('closed');
    hammer(30_000);
    expect(circuit.status).toBe('closed');
  });

  it('probes the only pair every five seconds as long as it fails', () => {
    const { attempt, pass } = startHalfOpen();
    const seconds: number[] = [];
    for (let ms = 0; ms < 16_000; ms += 100) {
      if (attempt('only', 'failure')) seconds.push(ms / 1000);
      pass(100);
    }
    expect(seconds).toEqual([0, 5, 10, 15]);
  });

  it.each<[string, [string, Verdict][]]>([
    ['the only pair that is asked for', [['a', 'success']]],
    [
      'one of the two that are',
      [
        ['a', 'success'],
        ['b', 'failure'],
      ],
    ],
    [
      'one of the two that are, the later',
      [
        ['a', 'failure'],
        ['b', 'success'],
      ],
    ],
  ])('closes a second after %s has succeeded', (_, probes) => {
    const { circuit, attempt, probe, pass } = startHalfOpen();
    for (const [pair, verdict] of probes) probe(pair)(verdict);
    pass(999);
    expect(attempt('a', 'success')).toBe(false);
    pass(1);
    expect(attempt('a', 'success')).toBe(true);
    expect(circuit.status).toBe('closed');
  });

  it('closes within ten seconds of the recovery even if the only pair has a probe that hangs', () => {
    const { circuit, attempt, pass, probe } = startHalfOpen();
    probe('only');
    let ms = 0;
    for (; circuit.status !== 'closed'; ms += 10) {
      attempt('only', 'success');
      pass(10);
    }
    expect(ms).toBeLessThan(7000);
  });

  it('closes even if three probes hang forever, once others are answered', () => {
    const { circuit, attempt, pass, probe } = startHalfOpen();
    ['a', 'b', 'c'].forEach(probe);
    pass(4999);
    expect(attempt('d', 'success')).toBe(false);
    pass(1);
    expect([attempt('d', 'success'), attempt('e', 'success')]).toEqual([true, true]);
    expect(circuit.status).toBe('closed');
  });

  it('closes even if every answer takes longer than it waits for probes', () => {
    const { circuit, pass, probe } = startHalfOpen();
    const [slow] = ['a', 'b', 'c'].map(probe);
    pass(6000);
    const [alsoSlow] = ['a', 'b', 'c'].map(probe);
    slow?.('success');
    pass(6000);
    probe('b')('success');
    alsoSlow?.('success');
    expect(circuit.status).toBe('closed');
  });
});
