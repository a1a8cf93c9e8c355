import type { GraphQLResolveInfo } from 'graphql';

import type { Resolvers } from '../__generated__/resolvers.ts';
import {
  downloadUrl,
  isAbsent,
  type OtaTask,
  type OtaTaskOutcome,
  type OtaTaskRequest,
  type OtaTaskType,
  pairId,
} from '../ota-task.ts';
import type { GraphQLContext } from './context.ts';
import type { DeviceReference } from './device-reference.ts';
import { faultOf, graphQLError, unknownProduct } from './error-map.ts';

export const resolvers: Resolvers = {
  Device: {
    otaTask: ({ reference }, { type }, context, info) => load('otaTask', reference, type, context, info),
    otaTaskResult: ({ reference }, { type }, context, info) =>
      load('otaTaskResult', reference, type, context, info),
  },
  OtaTask: { downloadUrl },
  OtaTaskResult: { __resolveType: (outcome) => (isAbsent(outcome) ? 'OtaTaskAbsent' : 'OtaTask') },
};

/** Resolves a task field and ends its span. */
async function load<Name extends 'otaTask' | 'otaTaskResult'>(
  name: Name,
  { id: deviceId, productId }: DeviceReference,
  type: OtaTaskType,
  { loader, scope, admission }: GraphQLContext,
  { fieldNodes }: GraphQLResolveInfo,
): Promise<Name extends 'otaTask' ? OtaTask : OtaTaskOutcome> {
  if (productId === null) throw graphQLError(unknownProduct({ deviceId, type }), fieldNodes);
  const key = { deviceId, productId, type };
  const endSpan = scope.trace?.field(name, key);
  // Devices are resolved only in an admitted operation, so the pair has been collected.
  const request = admission.pairs?.get(pairId(key)) as OtaTaskRequest;
  const outcome = await loader.load(request).catch((error: unknown) => error as Error);
  const fault = faultOf(name, outcome, key);
  endSpan?.(fault?.extensions.code);
  if (fault !== undefined) throw graphQLError(fault, fieldNodes);
  return outcome as OtaTask;
}
