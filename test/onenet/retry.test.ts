import { describe, expect, it } from 'vitest';

import { parseRetryAfter } from '../../src/onenet/retry-after.ts';
import { createRetryBudget } from '../../src/onenet/retry-budget.ts';

describe('the time in Retry-After', () => {
  const NOW = Date.parse('2026-01-01T00:00:00Z');

  it.each([
    ['0', 0],
    ['120', 120_000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Thursday, 01-Jan-26 00:00:30 GMT', 30_000],
    ['Thu, 01 Jan 2015 00:00:00 GMT', 0],
  ])('is read: %s', (value, expected) => {
    expect(parseRetryAfter(value, NOW)).toBe(expected);
  });

  it.each([undefined, '', '-1', '1.5', '1e3', ' 5', 'soon', 'Soon 5', 'Tomorrow, 5', '2026-01-01T00:00:30Z'])(
    'is not a valid time: %s',
    (value) => {
      expect(parseRetryAfter(value, NOW)).toBeUndefined();
    },
  );
});

describe('the budget of retries', () => {
  const takeAll = ({ take }: { take: () => boolean }): number => {
    let taken = 0;
    while (take()) taken++;
    return taken;
  };

  it.each([
    [0, 10],
    [9, 10],
    [10, 11],
    [85, 18],
    [1000, 110],
  ])('allows for %i calls %i retries', (calls, retries) => {
    const budget = createRetryBudget(() => 0);
    for (let i = 0; i < calls; i++) budget.countCall();
    expect(takeAll(budget)).toBe(retries);
  });

  it('forgets calls and retries after ten seconds', () => {
    let nowMs = 0;
    const budget = createRetryBudget(() => nowMs);
    for (let i = 0; i < 100; i++) budget.countCall();
    expect(takeAll(budget)).toBe(20);
    nowMs = 9_999;
    expect(takeAll(budget)).toBe(0);
    nowMs = 10_000;
    expect(takeAll(budget)).toBe(10);
  });
});
