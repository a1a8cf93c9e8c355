import type { DeviceTaskKey } from './ota-task.ts';

/** How an attempt to ask OneNET ended. */
interface CallEnd {
  /** In one word: of a small fixed set. */
  readonly result: string;
  /** The number that OneNET sent, where it sent one. */
  readonly errno: number | undefined;
  /** Of HTTP, where there was an answer. */
  readonly status: number | undefined;
}

/** Records what is done for a request that somebody traces. */
export interface RequestTrace {
  readonly traceId: string;
  /** A field of a device begins to wait for a task. Gives what is to be called when it has it, or with an error's code. */
  field(name: string, key: DeviceTaskKey): (code?: string) => void;
  /** An attempt to ask OneNET begins, for all fields that wait for it. Gives what is to be called when it ends. */
  call(key: DeviceTaskKey, attempt: number): (end: CallEnd) => void;
  /** The fields that wait for `key` here wait for a call that `other` records: they and the call are linked. */
  join(key: DeviceTaskKey, other: RequestTrace): void;
}

/** Who waits for an answer, and how long. */
export interface RequestScope {
  /** When the deadline passes, in milliseconds of `performance.now()`. */
  readonly deadlineMs: number;
  /** Why nobody waits any longer: the deadline has passed, or whoever waited has left. */
  cancelReason(): 'deadline' | 'disconnected' | undefined;
  /** What log lines tell of it: the request, and the trace that it is part of. */
  logFields(): { readonly requestId: string; readonly traceId?: string };
  readonly trace: RequestTrace | undefined;
  /** Has `callback` called when nobody waits any longer. */
  onCancel(callback: () => void): void;
}
