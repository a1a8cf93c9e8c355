import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { startBulkhead, type TestBulkhead } from './start-bulkhead.ts';

/** A bulkhead whose only place is taken. */
function startFull(maxQueued: number): TestBulkhead {
  const full = startBulkhead(1, maxQueued);
  full.acquire({}, 'inside');
  full.started.length = 0;
  return full;
}

describe('at a full queue', () => {
  it('the oldest call in the longest queue is evicted', () => {
    const { started, evicted, acquire, release } = startFull(6);
    const [short, long] = [{}, {}];
    acquire(short, 's1', 's2');
    acquire(long, 'l1', 'l2', 'l3', 'l4');
    expect(evicted).toEqual([]);
    acquire({}, 'n1');
    acquire({}, 'n2');
    expect(evicted).toEqual(['l1', 'l2']);
    for (let i = 0; i < 6; i++) release();
    expect(started).toEqual(['s1', 'l3', 'n1', 'n2', 's2', 'l4']);
  });

  it('a caller with many calls evicts its own', () => {
    const { started, evicted, acquire, release } = startFull(3);
    acquire({}, 'small');
    acquire({}, 'b1', 'b2', 'b3', 'b4', 'b5');
    expect(evicted).toEqual(['b1', 'b2', 'b3']);
    for (let i = 0; i < 3; i++) release();
    expect(started).toEqual(['small', 'b4', 'b5']);
  });

  it('of equally long queues, the oldest loses a call', () => {
    const { evicted, acquire } = startFull(3);
    for (const name of ['a', 'b', 'c', 'd', 'e']) acquire({}, name);
    expect(evicted).toEqual(['a', 'b']);
  });

  it('the length counts only calls that are still queued', () => {
    const { evicted, acquire, release } = startFull(4);
    const [early, late] = [{}, {}];
    acquire(early, 'e1', 'e2', 'e3');
    release();
    release();
    acquire(late, 'l1', 'l2', 'l3');
    expect(evicted).toEqual([]);
    acquire({}, 'n');
    expect(evicted).toEqual(['l1']);
  });

  it('a caller that has canceled evicts no calls', () => {
    const { bulkhead, evicted, acquire, cancel } = startFull(4);
    const gone = {};
    acquire(gone, 'g1', 'g2', 'g3');
    acquire({}, 'a');
    cancel(gone);
    for (const name of ['b', 'c', 'd']) acquire({}, name);
    expect(evicted).toEqual([]);
    expect(bulkhead.queued).toBe(4);
  });

  it('without a queue, a call that finds no free place is refused', () => {
    const { started, evicted, acquire } = startFull(0);
    acquire({}, 'a', 'b');
    expect([started, evicted]).toEqual([[], ['a', 'b']]);
  });

  it('eviction is always fair: no caller loses a call while another has more queued', () => {
    const action = fc.record({
      kind: fc.constantFrom('acquire', 'acquire', 'acquire', 'release', 'cancel'),
      who: fc.nat({ max: 9 }),
    });
    fc.assert(
      fc.property(fc.nat({ max: 12 }), fc.array(action, { maxLength: 200 }), (queueCapacity, actions) => {
        const { bulkhead, acquire, release, cancel, started, evicted } = startBulkhead(1, queueCapacity);
        const callers = Array.from({ length: 10 }, () => ({}));
        const waiting: string[][] = callers.map(() => []);
        let released = 0;
        actions.forEach(({ kind, who }, call) => {
          const [startedBefore, evictedBefore] = [started.length, evicted.length];
          const own = waiting[who] as string[];
          if (kind === 'acquire') {
            own.push(`${call}`);
            acquire(callers[who] as object, `${call}`);
          } else if (kind === 'release' && started.length > released) {
            released++;
            release();
          } else if (kind === 'cancel') {
            cancel(callers[who] as object);
            own.length = 0;
          }
          for (const name of [...evicted.slice(evictedBefore), ...started.slice(startedBefore)]) {
            // Turns are tested elsewhere; here, only that it is the first of its caller.
            const queue = waiting.find(([first]) => first === name) as string[];
            queue.shift();
            if (!evicted.includes(name)) continue;
            for (const others of waiting) expect(others.length).toBeLessThanOrEqual(queue.length + 1);
          }
          expect(bulkhead.queued).toBe(waiting.flat().length);
          expect(bulkhead.queued).toBeLessThanOrEqual(queueCapacity);
        });
      }),
    );
  });

  it.each([
    ['ten thousand queues of one call', 10_000, 1],
    ['a thousand queues of ten', 1000, 10],
    ['ten queues of a thousand', 10, 1000],
  ])('costs the same however many queues there are: %s', (_, queues, length) => {
    const { acquire, evicted } = startFull(10_000);
    const names = (count: number): string[] => Array.from({ length: count }, (_unused, i) => `${i}`);
    for (let i = 0; i < queues; i++) acquire({}, ...names(length));
    const startedMs = performance.now();
    for (let i = 0; i < 10; i++) acquire({}, ...names(1000));
    expect(evicted).toHaveLength(10_000);
    // Searching ten thousand queues for each call would take seconds.
    expect(performance.now() - startedMs).toBeLessThan(2000);
  });
});
