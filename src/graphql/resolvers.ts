import type { GraphQLResolveInfo } from 'graphql';

import type { Resolvers } from '../__generated__/resolvers.ts';
import {
  downloadUrl,
  isAbsent,
  type OtaTask,
  type OtaTaskOutcome,
  type OtaTaskType,
  pairId,
} from '../ota-task.ts';
import type { GraphQLContext } from './context.ts';
import type { DeviceReference } from './device-reference.ts';
import { faultOf, graphQLError } from './error-map.ts';

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
  const key = { deviceId, productId: productId ?? undefined, type };
  const endSpan = scope.trace?.field(name, key);
  const request = productId === null ? undefined : admission.pairs?.get(pairId(key));
  const outcome = request && (await loader.load(request).catch((error: unknown) => error as Error));
  const fault = faultOf(name, outcome, key);
  endSpan?.(fault?.extensions.code);
  if (fault !== undefined) throw graphQLError(fault, fieldNodes);
  return outcome as OtaTask;
}
