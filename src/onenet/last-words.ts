const WINDOW_SECONDS = 10;
/** Memory for a thousand pairs a second: one or two megabytes. */
const MAX_PAIRS = 10_000;

/** What was said last of each pair in the last ten seconds, in steps of one. */
export interface LastWords {
  readonly pairs: number;
  readonly failures: number;
  add(pair: string, failed: boolean): void;
  reset(): void;
}

/** @param now Milliseconds, from a clock that only moves forward. */
export function createLastWords(now: () => number): LastWords {
  /** Of each pair the second, doubled, and one more where the pair failed: a number takes no memory of its own. */
  const words = new Map<string, number>();
  let failures = 0;
  let latestSecond = 0;

  function forgetWhere(isToForget: (word: number) => boolean): void {
    for (const [pair, word] of words) {
      if (!isToForget(word)) continue;
      words.delete(pair);
      failures -= word & 1;
    }
  }

  return {
    get pairs() {
      return words.size;
    },
    get failures() {
      return failures;
    },
    add(pair, failed) {
      const second = Math.floor(now() / 1000);
      if (second !== latestSecond) {
        latestSecond = second;
        forgetWhere((word) => word >> 1 <= second - WINDOW_SECONDS);
      }
      const word = words.get(pair);
      if (word !== undefined) {
        failures -= word & 1;
      } else if (words.size === MAX_PAIRS) {
        // Every other one, so that the share of failures stays.
        let odd = false;
        forgetWhere(() => (odd = !odd));
      }
      words.set(pair, 2 * second + Number(failed));
      failures += Number(failed);
    },
    reset() {
      words.clear();
      failures = 0;
    },
  };
}
