import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { startBulkhead } from './start-bulkhead.ts';

describe('the bulkhead', () => {
  it('starts as many calls at once as there are places', () => {
    const { acquire, started } = startBulkhead(3);
    for (const name of ['a', 'b', 'c', 'd', 'e']) acquire({}, name);
    expect(started).toEqual(['a', 'b', 'c']);
  });

  it('starts one more call for each that ends', () => {
    const { release, acquire, started } = startBulkhead(2);
    for (const name of ['a', 'b', 'c', 'd']) acquire({}, name);
    release();
    expect(started).toEqual(['a', 'b', 'c']);
    release();
    expect(started).toEqual(['a', 'b', 'c', 'd']);
  });

  it('keeps a place that became free while no call was queued', () => {
    const { release, acquire, started } = startBulkhead(1);
    acquire({}, 'a');
    release();
    acquire({}, 'b');
    acquire({}, 'c');
    expect(started).toEqual(['a', 'b']);
  });

  it('starts the calls of one caller in order', () => {
    const { release, acquire, started } = startBulkhead(1);
    const caller = {};
    for (const name of ['1', '2', '3', '4']) acquire(caller, name);
    for (let i = 0; i < 3; i++) release();
    expect(started).toEqual(['1', '2', '3', '4']);
  });

  it('serves callers in turn, however much each of them asks for', () => {
    const { release, acquire, started } = startBulkhead(1);
    const [many, few, late] = [{}, {}, {}];
    for (const name of ['m1', 'm2', 'm3', 'm4', 'm5']) acquire(many, name);
    for (const name of ['f1', 'f2']) acquire(few, name);
    release();
    acquire(late, 'l1');
    for (let i = 0; i < 6; i++) release();
    expect(started).toEqual(['m1', 'm2', 'f1', 'm3', 'l1', 'f2', 'm4', 'm5']);
  });

  it('drops the queued calls of a caller that has canceled, and no others', () => {
    const { release, cancel, acquire, started } = startBulkhead(1);
    const [stays, goes] = [{}, {}];
    acquire(stays, 's1');
    for (const name of ['g1', 'g2']) acquire(goes, name);
    acquire(stays, 's2');
    cancel(goes);
    release();
    release();
    expect(started).toEqual(['s1', 's2']);
  });

  it('lets a caller that has canceled keep its places', () => {
    const { release, cancel, acquire, started } = startBulkhead(1);
    const goes = {};
    acquire(goes, 'g1');
    cancel(goes);
    acquire({}, 'a');
    expect(started).toEqual(['g1']);
    release();
    expect(started).toEqual(['g1', 'a']);
  });

  it('accepts the cancellation of a caller it does not know', () => {
    const { cancel, acquire, started } = startBulkhead(1);
    cancel({});
    acquire({}, 'a');
    expect(started).toEqual(['a']);
  });

  it('counts correctly through any sequence of calls', () => {
    const step = fc.record({
      action: fc.constantFrom('acquire', 'acquire', 'acquire', 'release', 'release', 'cancel'),
      caller: fc.nat({ max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.nat({ max: 6 }),
        fc.array(step, { maxLength: 80 }),
        (places, queueCapacity, steps) => {
          const { bulkhead, acquire, release, cancel, started, evicted } = startBulkhead(
            places,
            queueCapacity,
          );
          const callers = [{}, {}, {}, {}];
          let released = 0;
          let canceled = 0;
          steps.forEach(({ action, caller }, step) => {
            const queuedBefore = bulkhead.queued;
            const inside = started.length - released;
            if (action === 'acquire') {
              acquire(callers[caller] as object, `${step}`);
              const isFull = inside === places && queuedBefore >= queueCapacity;
              expect(bulkhead.queued).toBe(inside < places ? 0 : queuedBefore + Number(!isFull));
            } else if (action === 'release' && inside > 0) {
              released++;
              release();
            } else if (action === 'cancel') {
              cancel(callers[caller] as object);
              canceled += queuedBefore - bulkhead.queued;
            }
            expect(started.length - released).toBeLessThanOrEqual(places);
            // No call is queued while a place is free.
            if (bulkhead.queued > 0) expect(started.length - released).toBe(places);
          });
          const acquired = steps.filter(({ action }) => action === 'acquire').length;
          expect(started.length + evicted.length + canceled + bulkhead.queued).toBe(acquired);
        },
      ),
    );
  });

  it('starts a retry before the first attempts of its caller', () => {
    const { release, acquire, retry, started } = startBulkhead(1);
    const [one, other] = [{}, {}];
    acquire(one, '1', '2', '3');
    acquire(other, 'o');
    retry(one, '1 again');
    for (let i = 0; i < 4; i++) release();
    expect(started).toEqual(['1', '1 again', 'o', '2', '3']);
  });

  it('keeps all calls queued while the first may not start, and then starts them in order', () => {
    let turns = 1;
    const { bulkhead, acquire, resume, started } = startBulkhead(10, 100, () => turns-- > 0);
    const caller = {};
    acquire(caller, '1', '2', '3');
    expect([started, bulkhead.queued]).toEqual([['1'], 2]);
    turns = 2;
    resume();
    expect([started, bulkhead.queued]).toEqual([['1', '2', '3'], 0]);
  });
});
