import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type Caller, createBulkhead } from '../../src/onenet/bulkhead.ts';

/** A bulkhead, and the names of those who were let in or refused, in that order. */
function startBulkhead(places: number, queueCapacity = 100) {
  const bulkhead = createBulkhead({ places, queueCapacity });
  const started: string[] = [];
  return {
    bulkhead,
    started,
    enter: (caller: Caller, name: string) =>
      bulkhead.enter(caller, (refused) => started.push(refused === undefined ? name : `${name} refused`)),
  };
}

describe('the bulkhead', () => {
  it('lets in at once as many as there are places', () => {
    const { enter, started } = startBulkhead(3);
    for (const name of ['a', 'b', 'c', 'd', 'e']) enter({}, name);
    expect(started).toEqual(['a', 'b', 'c']);
  });

  it('lets in one more for each that leaves', () => {
    const { bulkhead, enter, started } = startBulkhead(2);
    for (const name of ['a', 'b', 'c', 'd']) enter({}, name);
    bulkhead.leave();
    expect(started).toEqual(['a', 'b', 'c']);
    bulkhead.leave();
    expect(started).toEqual(['a', 'b', 'c', 'd']);
  });

  it('keeps a place that was left while nobody waited', () => {
    const { bulkhead, enter, started } = startBulkhead(1);
    enter({}, 'a');
    bulkhead.leave();
    enter({}, 'b');
    enter({}, 'c');
    expect(started).toEqual(['a', 'b']);
  });

  it('lets one caller in by the order of asking', () => {
    const { bulkhead, enter, started } = startBulkhead(1);
    const caller = {};
    for (const name of ['1', '2', '3', '4']) enter(caller, name);
    for (let i = 0; i < 3; i++) bulkhead.leave();
    expect(started).toEqual(['1', '2', '3', '4']);
  });

  it('lets callers take turns, however much each of them wants', () => {
    const { bulkhead, enter, started } = startBulkhead(1);
    const [many, few, late] = [{}, {}, {}];
    for (const name of ['m1', 'm2', 'm3', 'm4', 'm5']) enter(many, name);
    for (const name of ['f1', 'f2']) enter(few, name);
    bulkhead.leave();
    enter(late, 'l1');
    for (let i = 0; i < 6; i++) bulkhead.leave();
    expect(started).toEqual(['m1', 'm2', 'f1', 'm3', 'l1', 'f2', 'm4', 'm5']);
  });

  it('forgets what an abandoned caller has waiting, and nothing else', () => {
    const { bulkhead, enter, started } = startBulkhead(1);
    const [stays, goes] = [{}, {}];
    enter(stays, 's1');
    for (const name of ['g1', 'g2']) enter(goes, name);
    enter(stays, 's2');
    bulkhead.abandon(goes);
    bulkhead.leave();
    bulkhead.leave();
    expect(started).toEqual(['s1', 's2']);
  });

  it('lets an abandoned caller keep the places that it has', () => {
    const { bulkhead, enter, started } = startBulkhead(1);
    const goes = {};
    enter(goes, 'g1');
    bulkhead.abandon(goes);
    enter({}, 'a');
    expect(started).toEqual(['g1']);
    bulkhead.leave();
    expect(started).toEqual(['g1', 'a']);
  });

  it('can be abandoned by a caller that it never saw', () => {
    const { bulkhead, enter, started } = startBulkhead(1);
    bulkhead.abandon({});
    enter({}, 'a');
    expect(started).toEqual(['a']);
  });

  it('keeps count through any coming and going', () => {
    const step = fc.record({
      action: fc.constantFrom('enter', 'enter', 'enter', 'leave', 'leave', 'abandon'),
      caller: fc.nat({ max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.nat({ max: 6 }),
        fc.array(step, { maxLength: 80 }),
        (places, queueCapacity, steps) => {
          const bulkhead = createBulkhead({ places, queueCapacity });
          const callers = [{}, {}, {}, {}];
          const waiting: number[] = [];
          let inside = 0;
          for (const { action, caller } of steps) {
            if (action === 'enter') {
              const waitedBefore = waiting.length;
              const full = inside === places && waitedBefore >= queueCapacity;
              const free = inside < places;
              waiting.push(caller);
              bulkhead.enter(callers[caller] as Caller, (refused) => {
                if (refused === undefined) inside++;
                waiting.splice(waiting.indexOf(caller), 1);
              });
              expect(waiting).toHaveLength(free ? 0 : waitedBefore + Number(!full));
            } else if (action === 'leave' && inside > 0) {
              inside--;
              bulkhead.leave();
            } else if (action === 'abandon') {
              bulkhead.abandon(callers[caller] as Caller);
              for (let at = waiting.length - 1; at >= 0; at--)
                if (waiting[at] === caller) waiting.splice(at, 1);
            }
            expect(inside).toBeLessThanOrEqual(places);
            // Nobody waits while a place is free.
            if (waiting.length > 0) expect(inside).toBe(places);
          }
        },
      ),
    );
  });
});
