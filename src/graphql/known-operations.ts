import { type DocumentNode, Kind, type OperationDefinitionNode } from 'graphql';

import type { OperationPlan } from './operation-plan.ts';
import type { PlanOperation } from './plan-cache.ts';

/** Clients of a router send a few operations, each of them many times. */
const MAX_KNOWN = 500;
const MAX_QUERY_LENGTH = 10_000;

type Variables = Readonly<Record<string, unknown>>;

export interface KnownOperations {
  /** Remembers an operation that Apollo Server has parsed and validated, by the very text that it came in. */
  remember(query: string, document: DocumentNode, operation: OperationDefinitionNode): void;
  /** The plan for the body of a request, if there is nothing in it that Apollo Server has yet to judge. */
  find(body: unknown): { readonly plan: OperationPlan; readonly variables: Variables } | undefined;
}

/** Keeps as many operations as clients have use for. */
export function createKnownOperations(planOf: PlanOperation): KnownOperations {
  const known = new Map<
    string,
    { readonly document: DocumentNode; readonly operation: OperationDefinitionNode }
  >();
  return {
    remember(query, document, operation) {
      const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
      // Of several, the request chooses.
      if (operations.length > 1 || query.length > MAX_QUERY_LENGTH || known.has(query)) return;
      known.set(query, { document, operation });
      if (known.size > MAX_KNOWN) known.delete(known.keys().next().value as string);
    },
    find(body) {
      if (!isRecord(body)) return undefined;
      const { query, operationName, variables = {}, extensions } = body;
      if (typeof query !== 'string' || !isRecord(variables) || extensions !== undefined) return undefined;
      const found = known.get(query);
      if (found === undefined) return undefined;
      const { document, operation } = found;
      const name = operation.name?.value;
      if ((operationName ?? name) !== name) return undefined;
      const plan = planOf(document, operation, variables);
      return plan && { plan, variables };
    },
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
