import DataLoader from 'dataloader';

import { type OtaTaskOutcome, type OtaTaskRequest, pairId } from '../ota-task.ts';

export type OtaTaskLoader = DataLoader<OtaTaskRequest, OtaTaskOutcome, string>;

/**
 * Created for each GraphQL request. Every (device, type) that the operation asks for passes through it, and is fetched
 * once.
 */
export function createOtaTaskLoader(
  fetch: (requests: readonly OtaTaskRequest[]) => Promise<readonly (OtaTaskOutcome | Error)[]>,
): OtaTaskLoader {
  return new DataLoader(fetch, { cacheKeyFn: pairId });
}
