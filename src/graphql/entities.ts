import type { GraphQLFieldResolver } from 'graphql';

import type { GraphQLContext } from './context.ts';
import type { DeviceModel } from './device-reference.ts';
import { graphQLError } from './error-map.ts';

/**
 * Resolves `Query._entities` in place of `@apollo/subgraph`'s own resolver, in which one bad representation nulls the
 * whole batch. Here each stands for itself: an error in the list is the error of its entity alone.
 */
export const resolveEntities: GraphQLFieldResolver<
  unknown,
  GraphQLContext,
  { representations: unknown[] }
> = (_, { representations }, { admission, readReference }, { fieldNodes }) =>
  representations.map((representation) => {
    const reference = admission.pairs && readReference(representation);
    // With what else it has: its product, too, may be asked for.
    if (reference !== undefined)
      return { ...(representation as object), id: reference.id, reference } satisfies DeviceModel;
    return admission.errorsLeft-- > 0 ? graphQLError(admission.fault, fieldNodes) : null;
  });
