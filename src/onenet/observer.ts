import type { DeviceTaskKey, Requester } from '../ota-task.ts';

/** A call that got no answer which a device's owner would expect, after all attempts. */
export interface FailedCall {
  readonly key: DeviceTaskKey;
  readonly requester: Requester;
  /** In one word: of a small fixed set. */
  readonly result: string;
  /** The number that OneNET sent, where it sent one. */
  readonly errno: number | undefined;
  /** What was wrong with an answer, in our words. */
  readonly detail: string | undefined;
  readonly attempts: number;
}

/** Who is told what happens between this room and OneNET. */
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
  failed(call: FailedCall): void;
}
