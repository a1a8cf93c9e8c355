import { GraphQLError, OperationTypeNode, type ValidationRule } from 'graphql';

/** Refuses what the schema has no root for while it is still the client's mistake; execution would call it ours. */
export const queriesOnly: ValidationRule = (context) => ({
  OperationDefinition(node) {
    if (node.operation !== OperationTypeNode.QUERY) {
      context.reportError(new GraphQLError('Only queries are supported.', { nodes: node }));
    }
  },
});
