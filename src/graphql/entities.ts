import type { GraphQLFieldResolver } from 'graphql';

import type { GraphQLContext } from './context.ts';
import { deviceIdIn, type DeviceReference } from './device-reference.ts';
import { graphQLError } from './error-map.ts';

/**
 * Resolves `Query._entities` in place of `@apollo/subgraph`'s own resolver, in which one bad representation nulls the
 * whole batch. Here each stands for itself: an error in the list is the error of its entity alone.
 */
export const resolveEntities: GraphQLFieldResolver<
  unknown,
  GraphQLContext,
  { representations: unknown[] }
> = (_, { representations }, { admission }) =>
  representations.map((representation) => {
    const id = admission.pairs && deviceIdIn(representation);
    if (id !== undefined) return { __typename: 'Device', id } satisfies DeviceReference;
    return admission.errorsLeft-- > 0 ? graphQLError(admission.fault) : null;
  });
