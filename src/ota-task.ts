/** Firmware or software over the air. */
export type OtaTaskType = 'FOTA' | 'SOTA';

/** The whole version, or only the difference to the one that the device runs. */
export type OtaPackageType = 'FULL' | 'DELTA';

/** What one upstream call answers. */
export interface DeviceTaskKey {
  readonly deviceId: string;
  /** Undefined where there is only one product. */
  readonly productId?: string | undefined;
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

/** Equal for equal pairs and for no others: neither a type nor a device id holds a colon. */
export function pairId({ deviceId, productId, type }: DeviceTaskKey): string {
  return productId === undefined ? `${type}:${deviceId}` : `${type}:${deviceId}:${productId}`;
}

const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Ids are passed on unchanged, so only what needs no encoding anywhere on the way can be one. */
export function isDeviceId(value: unknown): value is string {
  return typeof value === 'string' && DEVICE_ID.test(value);
}

const HOST_WITH_OPTIONAL_PORT = /^(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/** As the last segment of a path these name a folder, not a file, and no encoding changes that. */
const NO_FILE_NAME = /^\.{0,2}$/;

/** Where the package can be downloaded without signing in, or null where the task names no usable address or file. */
export function downloadUrl({ ipPort, token }: OtaTask): string | null {
  if (ipPort === null || !HOST_WITH_OPTIONAL_PORT.test(ipPort) || NO_FILE_NAME.test(token)) return null;
  // Lone surrogates, which JSON can carry, would make `encodeURIComponent` throw.
  const url = `http://${ipPort}/ota/download/${encodeURIComponent(token.toWellFormed())}`;
  return URL.canParse(url) ? url : null;
}
