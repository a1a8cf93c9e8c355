import { type ASTNode, GraphQLError, OperationTypeNode, type ValidationRule } from 'graphql';

/** Far more than any router's operation for this schema has, and far less than what makes executing one slow. */
const MAX_ALIASES = 200;
const MAX_DIRECTIVES = 200;
/** Selection sets within each other; data is four deep. */
const MAX_DEPTH = 20;

/** Refuses what the schema has no root for while it is still the client's mistake; execution would call it ours. */
const queriesOnly: ValidationRule = (context) => ({
  OperationDefinition(node) {
    if (node.operation !== OperationTypeNode.QUERY) {
      context.reportError(new GraphQLError('Only queries are supported.', { nodes: node }));
    }
  },
});

/** Caps what multiplies work; each cap is reported once, for what is first above it. */
const caps: ValidationRule = (context) => {
  let aliases = 0;
  let directives = 0;
  let depth = 0;
  const atMost = (max: number, actual: number, what: string, node: ASTNode): void => {
    if (actual === max + 1) {
      context.reportError(new GraphQLError(`The document has more than ${max} ${what}.`, { nodes: node }));
    }
  };
  return {
    Field(node) {
      if (node.alias !== undefined) atMost(MAX_ALIASES, ++aliases, 'aliases', node);
    },
    Directive(node) {
      atMost(MAX_DIRECTIVES, ++directives, 'directives', node);
    },
    SelectionSet: {
      enter(node) {
        atMost(MAX_DEPTH, ++depth, 'selection sets within each other', node);
      },
      leave() {
        depth--;
      },
    },
  };
};

/** In addition to the specification's own rules. */
export const validationRules: readonly ValidationRule[] = [queriesOnly, caps];
