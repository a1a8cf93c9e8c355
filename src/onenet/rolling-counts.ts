const WINDOW_SECONDS = 10;

/** Counts events over the last ten seconds, with a resolution of one second. */
export interface RollingCounts<Event extends string> {
  add(event: Event): void;
  count(event: Event): number;
}

/** @param now Milliseconds, from a monotonic clock. */
export function createRollingCounts<Event extends string>(
  events: readonly Event[],
  now: () => number,
): RollingCounts<Event> {
  const emptyTotals = (): Record<Event, number> =>
    Object.fromEntries(events.map((event) => [event, 0])) as Record<Event, number>;
  let seconds: { readonly second: number; readonly counts: Record<Event, number> }[] = [];

  /** Returns the current second's counts, after dropping those outside the window. */
  function current(): Record<Event, number> {
    const second = Math.floor(now() / 1000);
    const last = seconds.at(-1);
    if (last?.second === second) return last.counts;
    const counts = emptyTotals();
    seconds = seconds.filter((past) => past.second > second - WINDOW_SECONDS);
    seconds.push({ second, counts });
    return counts;
  }

  return {
    add(event) {
      current()[event]++;
    },
    count(event) {
      current();
      return seconds.reduce((sum, { counts }) => sum + counts[event], 0);
    },
  };
}
