/** Who is told what happens between this room and OneNET; for metrics. */
export interface OneNetObserver {
  /**
   * One attempt ended.
   *
   * @param result `task`, `absent`, `errno`, or in one word what went wrong: a small fixed set.
   * @param errno The number that OneNET sent, where it sent one.
   * @param durationMs From the moment the attempt had its place.
   */
  attempt(result: string, errno: number | undefined, durationMs: number): void;
  retry(): void;
}
