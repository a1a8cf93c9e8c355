import { maybeCacheControlFromInfo } from '@apollo/cache-control-types';
import type { GraphQLError, GraphQLFieldResolver, GraphQLResolveInfo } from 'graphql';

import { admitOperation, refuseOperation } from './admission.ts';
import type { Admission, GraphQLContext } from './context.ts';
import { deviceIdIn, type DeviceReference } from './device-reference.ts';
import { badArgument, graphQLError, tooManyRepresentations } from './error-map.ts';
import { type OperationPlan, planOperation } from './operation-plan.ts';

/**
 * Resolves `Query._entities` in place of `@apollo/subgraph`'s own resolver, in which one bad representation nulls the
 * whole batch. Here each stands for itself: an error in the list is the error of its entity alone.
 */
export const resolveEntities: GraphQLFieldResolver<
  unknown,
  GraphQLContext,
  { representations: unknown[] }
> = (_, { representations }, context, info) => {
  context.admission ??= admit(info, context);
  const { admission } = context;
  // Not by directive: its type would become part of every supergraph, and its arguments cannot be configured.
  maybeCacheControlFromInfo(info)?.cacheHint.restrict({ scope: 'PRIVATE' });
  if (admission === undefined) throw tooManyRepresentations();
  return representations.map((representation) => {
    const id = admission.pairs && deviceIdIn(representation);
    if (id !== undefined) return { __typename: 'Device', id } satisfies DeviceReference;
    return admission.errorsLeft-- > 0 ? graphQLError(admission.fault) : null;
  });
};

function admit(info: GraphQLResolveInfo, context: GraphQLContext): Admission | undefined {
  let plan: OperationPlan;
  try {
    plan = planOperation(info);
  } catch (error) {
    return refuseOperation(badArgument(error as GraphQLError), context.maxDeviceTasks);
  }
  return admitOperation(plan, info.variableValues, context);
}
