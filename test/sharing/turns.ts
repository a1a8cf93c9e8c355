import type { TakeTurn } from '../../src/ask-ota-tasks.ts';

/** Takes turns as fast as they are granted until the time is over; resolves to the time of each. */
export function takeTurnsFor(ms: number, takeTurn: TakeTurn, waiting = 1000): Promise<number[]> {
  const times: number[] = [];
  const endMs = performance.now() + ms;
  return new Promise((resolve) => {
    setTimeout(() => resolve(times), ms);
    function take(): void {
      while (performance.now() < endMs && takeTurn(waiting, take)) times.push(performance.now());
    }
    take();
  });
}

/** The highest number of these times within any window of this length. */
export function mostWithin(windowMs: number, times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  let first = 0;
  let most = 0;
  for (const [last, time] of sorted.entries()) {
    while (time - (sorted[first] as number) >= windowMs) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}
