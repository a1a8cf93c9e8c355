import { type ASTNode, GraphQLError, OperationTypeNode, type ValidationRule } from 'graphql';

import { MAX_ALIASES, MAX_DEPTH, MAX_DIRECTIVES } from './limits.ts';

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

/** What graphql-js answers of the schema is as large as the schema, unless aliases multiply it. */
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

/** For production: clients of a router learn the supergraph's schema from the router. */
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

/** To be checked before the specification's own rules, whose cost these bound. */
export function documentRules({ introspection }: { readonly introspection: boolean }): ValidationRule[] {
  const rules = [queriesOnly, caps, schemaWithoutAliases];
  return introspection ? rules : [...rules, noIntrospection];
}
