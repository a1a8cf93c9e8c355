import type { Resolvers } from '../__generated__/resolvers.ts';
import {
  type DeviceTaskKey,
  downloadUrl,
  isAbsent,
  type OtaTask,
  type OtaTaskOutcome,
  type OtaTaskRequest,
  pairId,
} from '../ota-task.ts';
import type { GraphQLContext } from './context.ts';
import { faultOf, graphQLError } from './error-map.ts';

export const resolvers: Resolvers = {
  Device: {
    otaTask: ({ id }, { type }, context) => load('otaTask', { deviceId: id, type }, context),
    otaTaskResult: ({ id }, { type }, context) => load('otaTaskResult', { deviceId: id, type }, context),
  },
  OtaTask: { downloadUrl },
  OtaTaskResult: { __resolveType: (outcome) => (isAbsent(outcome) ? 'OtaTaskAbsent' : 'OtaTask') },
};

/** Completes a field, and with it its span. */
async function load<Name extends 'otaTask' | 'otaTaskResult'>(
  name: Name,
  key: DeviceTaskKey,
  { loader, requester, admission }: GraphQLContext,
): Promise<Name extends 'otaTask' ? OtaTask : OtaTaskOutcome> {
  const endSpan = requester.trace?.field(name, key);
  // Whoever resolves devices has admitted the operation, and with it this pair.
  const request = admission.pairs?.get(pairId(key)) as OtaTaskRequest;
  const outcome = await loader.load(request).catch((error: unknown) => error as Error);
  const fault = faultOf(name, outcome, key);
  endSpan?.(fault?.extensions.code);
  if (fault !== undefined) throw graphQLError(fault);
  return outcome as OtaTask;
}
