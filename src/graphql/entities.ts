import type { GraphQLFieldResolver } from 'graphql';

import type { GraphQLContext } from './context.ts';
import type { DeviceModel } from './device-reference.ts';
import { graphQLError } from './error-map.ts';

/**
 * Resolves `Query._entities` in place of the resolver of `@apollo/subgraph`, in which one bad representation nulls the
 * whole list. Here an invalid representation becomes an error of its own entity only.
 */
export const resolveEntities: GraphQLFieldResolver<
  unknown,
  GraphQLContext,
  { representations: unknown[] }
> = (_, { representations }, { admission, readReference }, { fieldNodes }) =>
  representations.map((representation) => {
    const reference = admission.pairs && readReference(representation);
    // The representation's other fields are kept, because the operation may select its product.
    if (reference !== undefined)
      return { ...(representation as object), id: reference.id, reference } satisfies DeviceModel;
    return admission.errorsLeft-- > 0 ? graphQLError(admission.fault, fieldNodes) : null;
  });
