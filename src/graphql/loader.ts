import DataLoader from 'dataloader';

import type { DeviceTaskKey, OtaTaskOutcome, OtaTaskRequest } from '../ota-task.ts';

export type OtaTaskLoader = DataLoader<OtaTaskRequest, OtaTaskOutcome, string>;

/** One for each GraphQL request: every (device, type) asked for anywhere in the operation passes it, each of them once. */
export function createOtaTaskLoader(
  fetch: (requests: readonly OtaTaskRequest[]) => Promise<readonly (OtaTaskOutcome | Error)[]>,
): OtaTaskLoader {
  return new DataLoader(fetch, { cacheKeyFn: pairId });
}

/** Equal for equal pairs and for no others: a type holds no colon. */
export function pairId({ deviceId, type }: DeviceTaskKey): string {
  return `${type}:${deviceId}`;
}
