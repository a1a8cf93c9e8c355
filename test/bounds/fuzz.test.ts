import { expect, it } from 'vitest';

import { fuzz, GOALS } from '../../fuzz/fuzz.ts';

/** For a machine that does other things at the same time. */
const ROOM = 3;

it('finds no request under the limits that breaks a promise, in a short search', async () => {
  const lines: string[] = [];
  const { worst, failures, rssBytes } = await fuzz({
    seed: 20_260_101,
    enough: (requests) => requests >= 300,
    log: (line) => lines.push(line),
  });
  expect(lines[0]).toBe('seed 20260101');
  expect(failures).toEqual([]);
  expect(worst.cpuMsPer10KB).toHaveLength(10);
  for (const { cpuMsPer10KB, description } of worst.cpuMsPer10KB)
    expect(cpuMsPer10KB, description).toBeLessThan(GOALS.cpuMsPer10KB * ROOM);
  expect(worst.answerBytesPerByte[0]?.answerBytesPerByte).toBeGreaterThan(1);
  expect(rssBytes).toBeLessThan(GOALS.rssBytes * ROOM);
}, 120_000);
