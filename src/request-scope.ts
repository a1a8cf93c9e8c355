import type { DeviceTaskKey } from './ota-task.ts';

/** How an attempt to call OneNET ended. */
interface CallEnd {
  /** The result as a label, from a small fixed set. */
  readonly result: string;
  /** The errno, if OneNET sent one. */
  readonly errno: number | undefined;
  /** The HTTP status, if there was a response. */
  readonly status: number | undefined;
}

/** What a request executes, in OpenTelemetry's terms. */
export interface TracedOperation {
  readonly type: string;
  readonly name: string | undefined;
  /** Without literals, because they may identify somebody's device. */
  readonly document: string;
}

/** Records the spans of a traced request. */
export interface RequestTrace {
  readonly traceId: string;
  operation(operation: TracedOperation): void;
  /** Begins a span for a task field. The returned function ends it, with an error's code if the field failed. */
  field(name: string, key: DeviceTaskKey): (code?: string) => void;
  /**
   * Begins a span for an attempt to call OneNET, on behalf of all fields that wait for it. The returned function ends
   * it.
   */
  call(key: DeviceTaskKey, attempt: number): (end: CallEnd) => void;
  /** Links this request's fields for `key` to the call that `other` records, because they wait for that call. */
  join(key: DeviceTaskKey, other: RequestTrace): void;
}

/** A request that waits for an answer, until its deadline or until its client disconnects. */
export interface RequestScope {
  /** The deadline, in milliseconds of `performance.now()`. */
  readonly deadlineMs: number;
  /** Why the request is canceled; undefined while it is not. */
  cancelReason(): 'deadline' | 'disconnected' | undefined;
  /** The fields that identify the request, and the trace it is part of, in the log. */
  logFields(): { readonly requestId: string; readonly traceId?: string };
  readonly trace: RequestTrace | undefined;
  /** Registers a callback for when the request is canceled. */
  onCancel(callback: () => void): void;
}
