/** The middle of several, with what spread they had. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spreadOf(numbers: readonly number[]): Spread {
  const sorted = [...numbers].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN };
}

export function median(numbers: readonly number[]): number {
  return spreadOf(numbers).median;
}

export function percentile(numbers: readonly number[], share: number): number {
  return quantile(
    [...numbers].sort((a, b) => a - b),
    share,
  );
}

/** Between two neighbours where the share falls between them. */
function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? NaN;
  const above = sorted[Math.ceil(position)] ?? NaN;
  return below + (above - below) * (position % 1);
}
