import { type ASTNode, GraphQLError, OperationTypeNode, type ValidationRule } from 'graphql';

import { MAX_ALIASES, MAX_DEPTH, MAX_DIRECTIVES } from './limits.ts';

/**
 * Refuses mutations and subscriptions during validation, as a client error; during execution they would count as a
 * server error.
 */
const queriesOnly: ValidationRule = (context) => ({
  OperationDefinition(node) {
    if (node.operation !== OperationTypeNode.QUERY) {
      context.reportError(new GraphQLError('Only queries are supported.', { nodes: node }));
    }
  },
});

/** Limits the constructs that multiply work. Each limit is reported once, at the first node that exceeds it. */
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

/**
 * Forbids aliases on introspection and `_service`: without them, the answer can be no larger than the schema itself.
 */
const schemaWithoutAliases: ValidationRule = (context) => ({
  Field(node) {
    if (node.alias === undefined) return;
    const { name: parent = '' } = context.getParentType() ?? {};
    const field = node.name.value;
    if ((parent.startsWith('_') && parent !== '_Entity') || field === '_service' || isIntrospection(field)) {
      context.reportError(new GraphQLError('What tells of the schema has no aliases.', { nodes: node }));
    }
  },
});

/** Used in production, where clients learn the supergraph's schema from the router. */
const noIntrospection: ValidationRule = (context) => ({
  Field(node) {
    if (isIntrospection(node.name.value)) {
      context.reportError(new GraphQLError('Introspection is switched off.', { nodes: node }));
    }
  },
});

function isIntrospection(field: string): boolean {
  return field === '__schema' || field === '__type';
}

/** Rules that run before those of the specification, because they bound what those cost. */
export function documentRules({ introspection }: { readonly introspection: boolean }): ValidationRule[] {
  const rules = [queriesOnly, caps, schemaWithoutAliases];
  return introspection ? rules : [...rules, noIntrospection];
}
