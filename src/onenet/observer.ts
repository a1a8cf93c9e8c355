import type { OneNetError } from '../onenet-error.ts';
import type { DeviceTaskKey } from '../ota-task.ts';
import type { RequestScope } from '../request-scope.ts';

/** A call that failed after all its attempts. */
export interface FailedCall {
  readonly key: DeviceTaskKey;
  readonly scope: RequestScope;
  readonly error: OneNetError;
  readonly attempts: number;
}

/** Receives events of the calls to OneNET, for logs and metrics. */
export interface OneNetObserver {
  /**
   * Called when an attempt ends.
   *
   * @param result `task`, `absent`, or the reason of the error: a small fixed set.
   * @param errno The errno, if OneNET sent one.
   * @param durationMs Milliseconds since the attempt was sent.
   */
  attempt(result: string, errno: number | undefined, durationMs: number): void;
  retry(): void;
  failed(call: FailedCall): void;
}
