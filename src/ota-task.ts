/** Firmware or software over the air. */
export type OtaTaskType = 'FOTA' | 'SOTA';

/** The whole version, or only the difference to the one that the device runs. */
export type OtaPackageType = 'FULL' | 'DELTA';

/** What one upstream call answers. */
export interface DeviceTaskKey {
  readonly deviceId: string;
  readonly type: OtaTaskType;
}

export interface OtaTaskRequest extends DeviceTaskKey {
  /** Whether somebody wants to know where the package can be pulled from. */
  readonly withAddress: boolean;
}

/** The upgrade task that a device is downloading or installing right now. */
export interface OtaTask {
  /** The version that the device will have when the task is done. */
  readonly target: string;
  /** A bearer secret: whoever has it can download the package. */
  readonly token: string;
  /** Bytes. */
  readonly size: number;
  /** The task proceeds above this signal; the unit is unknown. */
  readonly signal: number | null;
  /** The task proceeds above this battery level, in percent. */
  readonly power: number | null;
  /** Number of retries; 0 is none. */
  readonly retry: number | null;
  /** Seconds between retries. */
  readonly interval: number | null;
  /** As OneNET sent it, not validated as hex. */
  readonly md5: string;
  /** A host with an optional port. */
  readonly ipPort: string | null;
  readonly type: OtaPackageType;
}

/** The expected outcome for most devices most of the time: no upgrade is under way. */
export interface OtaTaskAbsent {
  readonly reason: 'NO_TASK' | 'TOKEN_EXPIRED';
  readonly errno: number;
}

export type OtaTaskOutcome = OtaTask | OtaTaskAbsent;

export function isAbsent(outcome: OtaTaskOutcome): outcome is OtaTaskAbsent {
  return 'reason' in outcome;
}

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
export interface Requester {
  /** When the deadline passes, in milliseconds of `performance.now()`. */
  readonly endsAtMs: number;
  /** Why nobody waits any longer: the deadline has passed, or whoever waited has left. */
  ended(): 'late' | 'gone' | undefined;
  /** What log lines tell of it: the request, and the trace that it is part of. */
  logFields(): { readonly requestId: string; readonly traceId?: string };
  readonly trace: RequestTrace | undefined;
  /** Has `callback` called when nobody waits any longer. */
  onEnd(callback: () => void): void;
}

/**
 * Asks for the tasks of one operation's devices, each of them once.
 *
 * Resolves to one outcome or error for each request, in the order of the requests; never rejects. When nobody
 * waits any longer, what is not there yet ends in an error at once.
 */
export type FetchOtaTasks = (
  requests: readonly OtaTaskRequest[],
  requester: Requester,
) => Promise<(OtaTaskOutcome | Error)[]>;

/** One pair on its way to OneNET, for everybody who waits for it. */
export interface OtaTaskCall extends OtaTaskRequest {
  /** When the last deadline passes of all who ever waited, in milliseconds of `performance.now()`. */
  readonly endsAtMs: number;
  /** Whether somebody still waits. */
  readonly isAwaited: boolean;
  /** Who asked for it first, and may have left since. */
  readonly requester: Requester;
  readonly trace: RequestTrace | undefined;
  /** Set by whoever works for it, to be told why the work is to be broken off once nobody waits any longer. */
  breakOff: ((reason: Error) => void) | undefined;
}

/** Where an outcome comes from, and how long it may be kept. Times are milliseconds of `performance.now()`. */
export interface Origin {
  readonly source: 'onenet' | 'memory' | 'redis';
  /** When OneNET answered. */
  readonly answeredAtMs: number;
  readonly expiresAtMs: number;
}

/** Is told how a call ended; an outcome without an origin comes from OneNET, just now. */
export type OnOutcome<Call> = (call: Call, outcome: OtaTaskOutcome | Error, origin?: Origin) => void;

/**
 * Asks for pairs, each of them once: the shape of every link between those who want tasks and OneNET.
 *
 * Calls `onOutcome` once for each call, in any order, possibly before it returns; for a call that nobody waits for any
 * longer it may be left out.
 */
export type AskOtaTasks = <Call extends OtaTaskCall>(
  calls: readonly Call[],
  onOutcome: OnOutcome<Call>,
) => void;

/** Equal for equal pairs and for no others: a type holds no colon. */
export function pairId({ deviceId, type }: DeviceTaskKey): string {
  return `${type}:${deviceId}`;
}

const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Ids are passed on unchanged, so only what needs no encoding anywhere on the way can be one. */
export function isDeviceId(value: unknown): value is string {
  return typeof value === 'string' && DEVICE_ID.test(value);
}

const HOST_WITH_OPTIONAL_PORT = /^(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/** Where the package can be downloaded without signing in, or null where the task names no usable address. */
export function downloadUrl({ ipPort, token }: OtaTask): string | null {
  if (ipPort === null || !HOST_WITH_OPTIONAL_PORT.test(ipPort)) return null;
  // Lone surrogates, which JSON can carry, would make `encodeURIComponent` throw.
  const url = `http://${ipPort}/ota/download/${encodeURIComponent(token.toWellFormed())}`;
  return URL.canParse(url) ? url : null;
}
