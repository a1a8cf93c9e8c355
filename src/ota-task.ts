/** Firmware or software upgrade over the air. */
export type OtaTaskType = 'FOTA' | 'SOTA';

/** The whole version, or only the difference from the version that the device runs. */
export type OtaPackageType = 'FULL' | 'DELTA';

/** Identifies what one upstream call asks for. */
export interface DeviceTaskKey {
  readonly deviceId: string;
  /** Undefined if there is only one product. */
  readonly productId?: string | undefined;
  readonly type: OtaTaskType;
}

export interface OtaTaskRequest extends DeviceTaskKey {
  /** Whether the address of the package is wanted. */
  readonly withAddress: boolean;
}

/** The upgrade task that a device is downloading or installing right now. */
export interface OtaTask {
  /** The version that the device will have when the task is done. */
  readonly target: string;
  /** A bearer secret: it alone suffices to download the package. */
  readonly token: string;
  /** Bytes. */
  readonly size: number;
  /** Minimum signal for the upgrade to proceed; the unit is unknown. */
  readonly signal: number | null;
  /** Minimum battery level for the upgrade to proceed, in percent. */
  readonly power: number | null;
  /** Number of retries; 0 means none. */
  readonly retry: number | null;
  /** Seconds between retries. */
  readonly interval: number | null;
  /** As OneNET sent it; not checked to be hexadecimal. */
  readonly md5: string;
  /** A host with an optional port. */
  readonly ipPort: string | null;
  readonly type: OtaPackageType;
}

/** No upgrade is in progress, which is the normal state of a device. */
export interface OtaTaskAbsent {
  readonly reason: 'NO_TASK' | 'TOKEN_EXPIRED';
  readonly errno: number;
}

export type OtaTaskOutcome = OtaTask | OtaTaskAbsent;

export function isAbsent(outcome: OtaTaskOutcome): outcome is OtaTaskAbsent {
  return 'reason' in outcome;
}

/** Identifies a pair. The id is unique, because neither a type nor a device id contains a colon. */
export function pairId({ deviceId, productId, type }: DeviceTaskKey): string {
  return productId === undefined ? `${type}:${deviceId}` : `${type}:${deviceId}:${productId}`;
}

const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Device ids are passed on unchanged, so only characters that never need encoding are allowed. */
export function isDeviceId(value: unknown): value is string {
  return typeof value === 'string' && DEVICE_ID.test(value);
}

const HOST_WITH_OPTIONAL_PORT = /^(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/** As the last segment of a path these name a directory, and no encoding changes that. */
const NO_FILE_NAME = /^\.{0,2}$/;

/**
 * The URL from which the package can be downloaded without authorization; null if the task has no usable address or
 * token.
 */
export function downloadUrl({ ipPort, token }: OtaTask): string | null {
  if (ipPort === null || !HOST_WITH_OPTIONAL_PORT.test(ipPort) || NO_FILE_NAME.test(token)) return null;
  // JSON can contain lone surrogates, for which `encodeURIComponent` throws.
  const url = `http://${ipPort}/ota/download/${encodeURIComponent(token.toWellFormed())}`;
  return URL.canParse(url) ? url : null;
}
