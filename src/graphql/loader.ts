import DataLoader from 'dataloader';

import type { OtaTaskOutcome, OtaTaskRequest } from '../ota-task.ts';
import type { Pair } from './admission.ts';

export type OtaTaskLoader = DataLoader<Pair, OtaTaskOutcome>;

/**
 * Created for each GraphQL request. Every (device, type) that the operation asks for passes through it, and is fetched
 * once. Its keys are the pairs of the admission, which are one object each, so they need no key of their own.
 */
export function createOtaTaskLoader(
  fetch: (requests: readonly OtaTaskRequest[]) => Promise<readonly (OtaTaskOutcome | Error)[]>,
): OtaTaskLoader {
  return new DataLoader(fetch);
}
