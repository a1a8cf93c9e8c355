import type { GraphQLFieldResolver } from 'graphql';

import type { GraphQLContext } from './context.ts';
import type { DeviceModel } from './device-reference.ts';
import { BAD_USER_INPUT, graphQLError } from './error-map.ts';

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
    if (reference !== undefined) {
      return {
        __typename: 'Device',
        id: reference.id,
        reference,
        representation: representation as DeviceModel['representation'],
      } satisfies DeviceModel;
    }
    return admission.errorsLeft-- > 0 ? graphQLError(admission.fault, fieldNodes) : null;
  });

/**
 * Makes the resolver of the field that tells a device's product. It belongs to another subgraph, so only a request made by
 * hand selects it here, and gets what it has sent.
 */
export function createProductResolver(
  name: string,
  isNonNull: boolean,
): GraphQLFieldResolver<DeviceModel, GraphQLContext> {
  return ({ representation }, _arguments, _context, { fieldNodes }) => {
    const product = Object.hasOwn(representation, name) ? representation[name] : null;
    if (typeof product === 'string' || (product === null && !isNonNull)) return product;
    throw graphQLError(BAD_USER_INPUT, fieldNodes);
  };
}
