import DataLoader from 'dataloader';

import type { DeviceTaskKey, OtaTaskOutcome } from '../ota-task.ts';

export type OtaTaskLoader = DataLoader<DeviceTaskKey, OtaTaskOutcome, string>;

/** One for each GraphQL request: gathers every (device, type) asked for anywhere in the operation, each of them once. */
export function createOtaTaskLoader(
  fetch: (keys: readonly DeviceTaskKey[]) => Promise<(OtaTaskOutcome | Error)[]>,
): OtaTaskLoader {
  return new DataLoader(fetch, { cacheKeyFn: pairId });
}

/** Equal for equal pairs and for no others: a type holds no colon. */
export function pairId({ deviceId, type }: DeviceTaskKey): string {
  return `${type}:${deviceId}`;
}
