import type { GraphQLFieldResolver } from 'graphql';

import { admitOperation } from './admission.ts';
import type { GraphQLContext } from './context.ts';
import { readReference } from './device-reference.ts';
import { badUserInput, operationTooLarge, tooManyRepresentations } from './error-map.ts';
import { planOperation } from './operation-plan.ts';

/**
 * Resolves `Query._entities` in place of `@apollo/subgraph`'s own resolver, in which one bad representation nulls the
 * whole batch. Here each stands for itself: an error in the list is the error of its entity alone.
 */
export const resolveEntities: GraphQLFieldResolver<
  unknown,
  GraphQLContext,
  { representations: unknown[] }
> = (_, { representations }, context, info) => {
  context.admission ??= admitOperation(planOperation(info).entities, context);
  const { admission } = context;
  if (admission === undefined) throw tooManyRepresentations();
  const refuse = admission.admitted ? badUserInput : operationTooLarge;
  return representations.map((representation) => {
    const device = admission.admitted ? readReference(representation) : undefined;
    return device ?? (admission.errorsLeft-- > 0 ? refuse() : null);
  });
};
