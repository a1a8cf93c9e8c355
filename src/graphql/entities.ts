import type { GraphQLError, GraphQLFieldResolver, GraphQLResolveInfo } from 'graphql';

import { admitOperation, refuseOperation } from './admission.ts';
import type { Admission, GraphQLContext } from './context.ts';
import { readReference } from './device-reference.ts';
import { tooManyRepresentations } from './error-map.ts';
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
  if (admission === undefined) throw tooManyRepresentations();
  return representations.map((representation) => {
    const device = admission.admitted ? readReference(representation) : undefined;
    return device ?? (admission.errorsLeft-- > 0 ? admission.refuse() : null);
  });
};

function admit(info: GraphQLResolveInfo, context: GraphQLContext): Admission | undefined {
  let plan: OperationPlan;
  try {
    plan = planOperation(info);
  } catch (error) {
    return refuseOperation(error as GraphQLError, context);
  }
  return admitOperation(plan.entities, context);
}
