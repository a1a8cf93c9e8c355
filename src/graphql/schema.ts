import { readFileSync } from 'node:fs';

import { buildSubgraphSchema } from '@apollo/subgraph';
import {
  type ConstDirectiveNode,
  type DocumentNode,
  type FieldDefinitionNode,
  type GraphQLFieldResolver,
  type GraphQLObjectType,
  type GraphQLSchema,
  Kind,
  parse,
  parseConstValue,
  parseType,
  print,
  visit,
} from 'graphql';

import { packageFile } from '../package-file.ts';
import type { GraphQLContext } from './context.ts';
import { createProductResolver, resolveEntities } from './entities.ts';
import { resolvers } from './resolvers.ts';

/** Parts of the schema that depend on the deployment. */
export interface SchemaOptions {
  /** The device field, owned by another subgraph, that holds its product; undefined if there is only one product. */
  readonly productField: { readonly name: string; readonly isNonNull: boolean } | undefined;
  /** Scopes that the router requires, all of them, for a task's secret fields. */
  readonly secretFieldScopes: readonly string[] | undefined;
}

/** The schema's text: `schema.graphql` verbatim, unless an option changes it. */
export function schemaText({ productField, secretFieldScopes }: SchemaOptions): string {
  const text = readFileSync(packageFile('schema.graphql'), 'utf8');
  if (productField === undefined && secretFieldScopes === undefined) return text;
  let document = parse(text);
  if (productField !== undefined) document = requireProduct(document, productField);
  if (secretFieldScopes !== undefined) document = requireScopes(document, secretFieldScopes);
  return `${print(document)}\n`;
}

/** The executable subgraph schema. */
export function createSchema(options: SchemaOptions): GraphQLSchema {
  const schema = buildSubgraphSchema({ typeDefs: parse(schemaText(options)), resolvers });
  setResolver(schema, 'Query', '_entities', resolveEntities);
  if (options.productField !== undefined) {
    const { name, isNonNull } = options.productField;
    setResolver(schema, 'Device', name, createProductResolver(name, isNonNull));
  }
  return schema;
}

/** For what the schema's own text does not have. */
function setResolver<Source, Arguments>(
  schema: GraphQLSchema,
  type: 'Query' | 'Device',
  name: string,
  resolve: GraphQLFieldResolver<Source, GraphQLContext, Arguments>,
): void {
  const field = (schema.getType(type) as GraphQLObjectType<Source, GraphQLContext>).getFields()[name];
  if (field === undefined) throw new Error(`the subgraph schema has no field ${type}.${name}`);
  field.resolve = resolve as GraphQLFieldResolver<Source, GraphQLContext>;
}

const PRODUCT_DESCRIPTION = `The device's OneNET product. Another subgraph owns it; routers send it along when they ask for a task.
A product that this service has no credentials for, and none at all, is the error \`BAD_USER_INPUT\` on the fields with a task.`;

/** Has the router send the product of each device along with its id. */
function requireProduct(
  document: DocumentNode,
  { name, isNonNull }: NonNullable<SchemaOptions['productField']>,
): DocumentNode {
  const field: FieldDefinitionNode = {
    kind: Kind.FIELD_DEFINITION,
    description: { kind: Kind.STRING, value: PRODUCT_DESCRIPTION, block: true },
    name: { kind: Kind.NAME, value: name },
    type: parseType(isNonNull ? 'ID!' : 'ID'),
    directives: [directive('external')],
  };
  const requires = directive('requires', { fields: JSON.stringify(name) });
  const changed = changeFields(document, 'Device', (each) =>
    each.arguments?.length ? addDirective(each, requires) : each,
  );
  return importDirectives(
    visit(changed, {
      ObjectTypeDefinition: (node) =>
        node.name.value === 'Device' ? { ...node, fields: [...(node.fields ?? []), field] } : undefined,
    }),
    ['@external', '@requires'],
  );
}

const SECRET_TAG = '@tag(name: "secret")';

function requireScopes(document: DocumentNode, scopes: readonly string[]): DocumentNode {
  const requiresScopes = directive('requiresScopes', { scopes: JSON.stringify([scopes]) });
  return importDirectives(
    changeFields(document, 'OtaTask', (field) =>
      field.directives?.some((each) => print(each) === SECRET_TAG)
        ? addDirective(field, requiresScopes)
        : field,
    ),
    ['@requiresScopes'],
  );
}

function changeFields(
  document: DocumentNode,
  type: string,
  change: (field: FieldDefinitionNode) => FieldDefinitionNode,
): DocumentNode {
  return visit(document, {
    ObjectTypeDefinition: (node) =>
      node.name.value === type ? { ...node, fields: node.fields?.map(change) ?? [] } : undefined,
  });
}

/** Adds names to what the schema's `@link` imports from the federation specification. */
function importDirectives(document: DocumentNode, names: readonly string[]): DocumentNode {
  const added = names.map((name) => parseConstValue(JSON.stringify(name)));
  return visit(document, {
    Argument: (node) =>
      node.name.value === 'import' && node.value.kind === Kind.LIST
        ? { ...node, value: { ...node.value, values: [...node.value.values, ...added] } }
        : undefined,
  });
}

function addDirective(field: FieldDefinitionNode, added: ConstDirectiveNode): FieldDefinitionNode {
  return { ...field, directives: [...(field.directives ?? []), added] };
}

function directive(name: string, args: Readonly<Record<string, string>> = {}): ConstDirectiveNode {
  return {
    kind: Kind.DIRECTIVE,
    name: { kind: Kind.NAME, value: name },
    arguments: Object.entries(args).map(([argument, value]) => ({
      kind: Kind.ARGUMENT,
      name: { kind: Kind.NAME, value: argument },
      value: parseConstValue(value),
    })),
  };
}
