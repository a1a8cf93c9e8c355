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

/** Is told what happens between this room and OneNET. */
export interface OneNetObserver {
  /**
   * One attempt ended.
   *
   * @param result `task`, `absent`, or the reason of its error: a small fixed set.
   * @param errno The number that OneNET sent, where it sent one.
   * @param durationMs From the moment the attempt went out.
   */
  attempt(result: string, errno: number | undefined, durationMs: number): void;
  retry(): void;
  failed(call: FailedCall): void;
}
