/** What OneNET calls the task's `type` in the request: firmware or software over the air. */
export type OtaTaskType = 'FOTA' | 'SOTA';

export type OtaPackageType = 'FULL' | 'DELTA';

/** The pair that one upstream call answers. */
export interface DeviceTaskKey {
  /** OneNET's `dev_id`, passed on unchanged: `007` is not `7`. */
  readonly deviceId: string;
  readonly type: OtaTaskType;
}

/** The upgrade task that a device is downloading or installing right now. */
export interface OtaTask {
  /** Version the device will have when the task is done. */
  readonly target: string;
  /** Bearer secret: whoever has it can download the package. */
  readonly token: string;
  /** Bytes. */
  readonly size: number;
  /** As OneNET reports it: the task proceeds above this signal; unit unknown. */
  readonly signal: number | null;
  /** Percent: the task proceeds above this battery level. */
  readonly power: number | null;
  /** Number of retries; 0 means none. */
  readonly retry: number | null;
  /** Seconds between retries. */
  readonly interval: number | null;
  /** MD5 of the package as OneNET sent it, not validated as hex. */
  readonly md5: string;
  /** Host with an optional port; only there when it was asked for. */
  readonly ipPort: string | null;
  readonly type: OtaPackageType;
}
