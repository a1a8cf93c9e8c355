import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type Caller, createBulkhead } from '../../src/onenet/bulkhead.ts';
import { OneNetUnreachableError } from '../../src/onenet/errors.ts';

/** A bulkhead whose only place is taken, and the names of those who were let in or refused, in that order. */
function startFull(queueCapacity: number) {
  const bulkhead = createBulkhead({ places: 1, queueCapacity });
  bulkhead.enter({}, () => undefined);
  const started: string[] = [];
  const refused: string[] = [];
  const enter = (caller: Caller, ...names: readonly string[]): void => {
    for (const name of names)
      bulkhead.enter(caller, (error) => {
        if (error === undefined) return started.push(name);
        expect(error).toBeInstanceOf(OneNetUnreachableError);
        expect(error).toMatchObject({ reason: 'queue-full', retryable: true });
        return refused.push(name);
      });
  };
  return { bulkhead, started, refused, enter };
}

describe('at a full queue', () => {
  it('the call that waits longest in the longest queue gives way', () => {
    const { bulkhead, started, refused, enter } = startFull(6);
    const [short, long] = [{}, {}];
    enter(short, 's1', 's2');
    enter(long, 'l1', 'l2', 'l3', 'l4');
    expect(refused).toEqual([]);
    enter({}, 'n1');
    enter({}, 'n2');
    expect(refused).toEqual(['l1', 'l2']);
    for (let i = 0; i < 6; i++) bulkhead.leave();
    expect(started).toEqual(['s1', 'l3', 'n1', 'n2', 's2', 'l4']);
  });

  it('one that asks for much gives way to itself', () => {
    const { started, refused, enter, bulkhead } = startFull(3);
    enter({}, 'small');
    enter({}, 'b1', 'b2', 'b3', 'b4', 'b5');
    expect(refused).toEqual(['b1', 'b2', 'b3']);
    for (let i = 0; i < 3; i++) bulkhead.leave();
    expect(started).toEqual(['small', 'b4', 'b5']);
  });

  it('of queues of one length, the one that is there longest gives way', () => {
    const { refused, enter } = startFull(3);
    for (const name of ['a', 'b', 'c', 'd', 'e']) enter({}, name);
    expect(refused).toEqual(['a', 'b']);
  });

  it('the length is what still waits', () => {
    const { bulkhead, refused, enter } = startFull(4);
    const [early, late] = [{}, {}];
    enter(early, 'e1', 'e2', 'e3');
    bulkhead.leave();
    bulkhead.leave();
    enter(late, 'l1', 'l2', 'l3');
    expect(refused).toEqual([]);
    enter({}, 'n');
    expect(refused).toEqual(['l1']);
  });

  it('nobody gives way to a caller that was abandoned', () => {
    const { bulkhead, refused, enter } = startFull(4);
    const gone = {};
    enter(gone, 'g1', 'g2', 'g3');
    enter({}, 'a');
    bulkhead.abandon(gone);
    for (const name of ['b', 'c', 'd']) enter({}, name);
    expect(refused).toEqual([]);
    expect(bulkhead.waiting).toBe(4);
  });

  it('without a queue, whoever finds no free place is refused', () => {
    const { started, refused, enter } = startFull(0);
    enter({}, 'a', 'b');
    expect([started, refused]).toEqual([[], ['a', 'b']]);
  });

  it('is always fair: nobody is refused while somebody else has more waiting', () => {
    const action = fc.record({
      kind: fc.constantFrom('enter', 'enter', 'enter', 'leave', 'abandon'),
      who: fc.nat({ max: 9 }),
    });
    fc.assert(
      fc.property(fc.nat({ max: 12 }), fc.array(action, { maxLength: 200 }), (queueCapacity, actions) => {
        const bulkhead = createBulkhead({ places: 1, queueCapacity });
        const callers = Array.from({ length: 10 }, () => ({}));
        const waiting: number[][] = callers.map(() => []);
        let inside = false;
        actions.forEach(({ kind, who }, call) => {
          const own = waiting[who] as number[];
          if (kind === 'enter') {
            own.push(call);
            bulkhead.enter(callers[who] as Caller, (error) => {
              // Turns are examined elsewhere; here, that it is the first of its caller.
              expect(own.shift()).toBe(call);
              if (error === undefined) inside = true;
              else for (const others of waiting) expect(others.length).toBeLessThanOrEqual(own.length + 1);
            });
          } else if (kind === 'leave' && inside) {
            inside = false;
            bulkhead.leave();
          } else if (kind === 'abandon') {
            bulkhead.abandon(callers[who] as Caller);
            own.length = 0;
          }
          const all = waiting.flat().length;
          expect(bulkhead.waiting).toBe(all);
          expect(all).toBeLessThanOrEqual(queueCapacity);
        });
      }),
    );
  });

  it.each([
    ['ten thousand queues of one call', 10_000, 1],
    ['a thousand queues of ten', 1000, 10],
    ['ten queues of a thousand', 10, 1000],
  ])('costs no more the more queues there are: %s', (_, queues, length) => {
    const { enter, refused } = startFull(10_000);
    const names = (count: number): string[] => Array.from({ length: count }, (_unused, i) => `${i}`);
    for (let i = 0; i < queues; i++) enter({}, ...names(length));
    const started = performance.now();
    for (let i = 0; i < 10; i++) enter({}, ...names(1000));
    expect(refused).toHaveLength(10_000);
    // A search through ten thousand queues for each would take seconds.
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
