import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Allocations } from './allocations.ts';
import type { Row } from './comparison.ts';
import type { Goal } from './goals.ts';
import { FLOOR, OURS, ROOT } from './peers.ts';

/** What an entity costs ours, to the floor, by the size of a request. */
interface Ratios {
  readonly cpu: Readonly<Record<string, number>>;
  readonly allocated: Readonly<Record<string, number>>;
}

/** How many times worse a ratio may be. */
const TOLERANCE = 1.15;
const FILE = join(ROOT, 'bench/baseline.json');

export function writeBaseline(rows: readonly Row[], allocations: readonly Allocations[]): void {
  writeFileSync(FILE, `${JSON.stringify(ratiosOf(rows, allocations), null, 2)}\n`);
}

/** Judges each ratio by the one that was committed; a size that is not in both has no goal here. */
export function judgeByBaseline(rows: readonly Row[], allocations: readonly Allocations[]): Goal[] {
  const baseline = JSON.parse(readFileSync(FILE, 'utf8')) as Ratios;
  const measured = ratiosOf(rows, allocations);
  return (['cpu', 'allocated'] as const).flatMap((what) =>
    Object.entries(measured[what]).flatMap(([size, ratio]) => {
      const before = baseline[what][size];
      if (before === undefined) return [];
      const limit = before * TOLERANCE;
      return {
        name: `${what === 'cpu' ? 'CPU' : 'bytes allocated'} for an entity, to the floor, at ${size}`,
        limit: `≤ ${limit.toFixed(2)} × (was ${before.toFixed(2)} ×)`,
        figure: `${ratio.toFixed(2)} ×`,
        met: ratio <= limit,
      };
    }),
  );
}

function ratiosOf(rows: readonly Row[], allocations: readonly Allocations[]): Ratios {
  const bytes = (server: string, of: number): number =>
    allocations.find((each) => each.server === server && each.size === of)?.bytes ?? NaN;
  const ours = rows.filter(({ server }) => server === OURS);
  return {
    cpu: Object.fromEntries(ours.map(({ size, ratio }) => [size, rounded(ratio.median)])),
    allocated: Object.fromEntries(
      ours.map(({ size }) => [size, rounded(bytes(OURS, size) / bytes(FLOOR, size))]),
    ),
  };
}

function rounded(ratio: number): number {
  return Number(ratio.toFixed(3));
}
