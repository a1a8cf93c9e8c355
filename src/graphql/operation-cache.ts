import {
  type DocumentNode,
  type FragmentDefinitionNode,
  getOperationAST,
  getVariableValues,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  parse,
  print,
  Source,
  specifiedRules,
  validate,
  type VariableDefinitionNode,
} from 'graphql';
import { LRUCache } from 'lru-cache';

import type { Representations } from './admission.ts';
import { documentRules } from './document-rules.ts';
import { MAX_TEXT_BYTES, MAX_TOKENS } from './limits.ts';
import {
  type OperationPlan,
  planOperation,
  representationVariables,
  type VariableValues,
} from './operation-plan.ts';
import { RequestError } from './request-error.ts';

/** The size of all operations and their plans together, as `weigh` estimates it. */
const MAX_BYTES = 8 * 1024 * 1024;
/**
 * Heap used by a token and its node, measured at 90 B (a comment) to 500 B (a bare field); and by a selection of a
 * plan, measured at 1 B (a field that is already collected) to 380 B (one with an alias).
 */
const BYTES_PER_TOKEN = 500;
const BYTES_PER_SELECTION = 400;

/**
 * Plans kept for one operation. They differ by its variables other than the representations, usually a type and a few
 * flags.
 */
const MAX_PLANS = 32;

/** An operation as a request names it. */
export interface OperationRequest {
  readonly query: string;
  readonly operationName?: string;
  readonly variables: VariableValues;
}

/** An operation that is ready to be executed. */
interface PreparedOperation {
  readonly document: DocumentNode;
  /** Undefined if graphql-js rejects a directive of a root field; in that case it resolves nothing. */
  readonly plan: OperationPlan | undefined;
  readonly representations: Representations;
}

/**
 * Parses, validates and plans an operation.
 *
 * @throws RequestError if the text, the operation's name or the variables are invalid.
 */
export type PrepareOperation = (request: OperationRequest) => PreparedOperation;

/** The part of an operation that does not depend on its variables. */
interface KnownOperation {
  readonly document: DocumentNode;
  readonly definition: OperationDefinitionNode;
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode>>;
  /** Variables that graphql-js coerces. The others are lists of representations, which it would only copy. */
  readonly coerced: readonly VariableDefinitionNode[];
  readonly lists: readonly string[];
  /** Names of the variables that a plan depends on: all except those that hold representations. */
  readonly planned: readonly string[];
  readonly plans: ReadonlyMap<string, OperationPlan | undefined>;
}

/**
 * Caches operations and their plans by text, because preparing a small operation costs several times what executing it
 * does. A router's clients send a few operations many times, but anyone can send many different ones, so the cache is
 * limited by size and evicts the least recently used.
 *
 * @param options.sandbox Whether clients may learn the schema from introspection and from suggestions in error
 * messages.
 */
export function createOperationCache(
  schema: GraphQLSchema,
  { sandbox }: { readonly sandbox: boolean },
): PrepareOperation {
  const operations = new LRUCache<string, KnownOperation>({ maxSize: MAX_BYTES, sizeCalculation: weigh });

  return ({ query, operationName, variables }) => {
    // No operation's name or valid text holds a NUL, so no two requests for different operations have one key.
    const key = operationName === undefined ? query : `\0${operationName}\0${query}`;
    let operation = operations.get(key);
    if (operation === undefined) {
      operation = know(parseAndValidate(query, schema, sandbox), operationName);
      operations.set(key, operation);
    }
    const { document, definition, fragments, planned, plans } = operation;
    const variableValues = coerce(schema, operation, variables, sandbox);
    const planKey = planned.length === 0 ? '' : JSON.stringify(planned.map((name) => variableValues[name]));
    let plan = plans.get(planKey);
    if (plan === undefined && !plans.has(planKey)) {
      plan = tryToPlan({ schema, operation: definition, fragments, variableValues });
      operations.set(key, {
        ...operation,
        plans: new Map([...[...plans].slice(1 - MAX_PLANS), [planKey, plan]]),
      });
    }
    const representations = (plan?.entities ?? []).map(({ representationsIn }) =>
      representationsIn(variableValues),
    );
    return { document, plan, representations };
  };
}

/** Estimates bytes. The text is the cache key, and each plan holds its aliases once more. */
function weigh({ document, plans }: KnownOperation, key: string): number {
  let bytes = key.length * 2;
  for (let token = document.loc?.startToken; token; token = token.next ?? undefined) bytes += BYTES_PER_TOKEN;
  for (const [planKey, plan] of plans)
    bytes += planKey.length * 2 + key.length + (1 + (plan?.weight ?? 0)) * BYTES_PER_SELECTION;
  return bytes;
}

function parseAndValidate(query: string, schema: GraphQLSchema, sandbox: boolean): DocumentNode {
  if (query.length > MAX_TEXT_BYTES || Buffer.byteLength(query) > MAX_TEXT_BYTES) {
    throw new RequestError('GRAPHQL_PARSE_FAILED', [`The document has more than ${MAX_TEXT_BYTES} bytes.`]);
  }
  const source = new Source(query);
  const document = parseSource(source);
  // graphql-js scans the whole text for the line of each node that an error names, which at a hundred errors of twenty
  // nodes is slow. Without a text it has nothing to scan; `locationOf` reads the line from the node's first token
  // instead.
  source.body = '';
  for (const rules of [documentRules({ introspection: sandbox }), specifiedRules]) {
    const errors = validate(schema, document, rules, { hideSuggestions: !sandbox });
    if (errors.length > 0) throw new RequestError('GRAPHQL_VALIDATION_FAILED', errors);
  }
  return document;
}

function parseSource(source: Source): DocumentNode {
  try {
    return parse(source, { maxLexicalTokens: MAX_TOKENS });
  } catch (error) {
    if (error instanceof GraphQLError) throw new RequestError('GRAPHQL_PARSE_FAILED', [error]);
    // The parser recurses once for each level of a nested value.
    if (error instanceof RangeError) {
      throw new RequestError('GRAPHQL_PARSE_FAILED', ['The document is nested too deeply.']);
    }
    throw error;
  }
}

function know(document: DocumentNode, operationName: string | undefined): KnownOperation {
  const definition = getOperationAST(document, operationName);
  if (!definition) {
    throw new RequestError('OPERATION_RESOLUTION_FAILURE', [
      'The request must name one operation of its document.',
    ]);
  }
  const fragments = Object.create(null) as Record<string, FragmentDefinitionNode>;
  for (const each of document.definitions) {
    if (each.kind === Kind.FRAGMENT_DEFINITION) fragments[each.name.value] = each;
  }
  const lists = representationVariables(definition);
  const coerced = (definition.variableDefinitions ?? []).filter(
    ({ variable }) => !lists.includes(variable.name.value),
  );
  const planned = coerced
    .filter(({ type }) => !print(type).includes('_Any'))
    .map(({ variable }) => variable.name.value);
  return { document, definition, fragments, coerced, lists, planned, plans: new Map() };
}

function coerce(
  schema: GraphQLSchema,
  { definition, coerced, lists }: KnownOperation,
  variables: VariableValues,
  sandbox: boolean,
): VariableValues {
  const areListsRight = lists.every((name) => isListWithoutNull(variables[name]));
  const toCoerce = areListsRight ? coerced : (definition.variableDefinitions ?? []);
  if (toCoerce.length === 0) return variables;
  const values = getVariableValues(schema, toCoerce, variables, { maxErrors: 50, hideSuggestions: !sandbox });
  if (values.errors) throw new RequestError('BAD_USER_INPUT', values.errors);
  return areListsRight ? { ...variables, ...values.coerced } : values.coerced;
}

/** graphql-js would accept exactly these lists, but copies them to find out. */
function isListWithoutNull(value: unknown): boolean {
  return Array.isArray(value) && !value.includes(null);
}

function tryToPlan(source: Parameters<typeof planOperation>[0]): OperationPlan | undefined {
  try {
    return planOperation(source);
  } catch (error) {
    if (error instanceof GraphQLError) return undefined;
    throw error;
  }
}
