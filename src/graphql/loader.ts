import DataLoader from 'dataloader';

import { type OtaTaskOutcome, type OtaTaskRequest, pairId } from '../ota-task.ts';

export type OtaTaskLoader = DataLoader<OtaTaskRequest, OtaTaskOutcome, string>;

/** One for each GraphQL request: every (device, type) asked for anywhere in the operation passes it, each of them once. */
export function createOtaTaskLoader(
  fetch: (requests: readonly OtaTaskRequest[]) => Promise<readonly (OtaTaskOutcome | Error)[]>,
): OtaTaskLoader {
  return new DataLoader(fetch, { cacheKeyFn: pairId });
}
