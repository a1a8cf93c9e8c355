import {
  type DocumentNode,
  type FragmentDefinitionNode,
  getVariableValues,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
} from 'graphql';

import { type OperationPlan, planOperation, representationVariables } from './operation-plan.ts';

/** Of one operation, by its variables but the representations: a type and a few flags. */
const MAX_PLANS = 32;
const MAX_KEY_LENGTH = 1000;

type Variables = Readonly<Record<string, unknown>>;

/** Plans an operation that was parsed and validated. */
export type PlanOperation = (
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
) => OperationPlan | undefined;

/**
 * Keeps the plans of operations for as long as their documents are kept: planning a small operation costs as much as
 * all the rest of its execution.
 *
 * An operation has none where it asks for more than entities, or where graphql-js has something to say about its variables.
 */
export function createPlanCache(schema: GraphQLSchema): PlanOperation {
  const known = new WeakMap<OperationDefinitionNode, ReturnType<typeof plansOf>>();

  function plansOf(document: DocumentNode, operation: OperationDefinitionNode) {
    const plans = new Map<string, OperationPlan | undefined>();
    const fragments: Record<string, FragmentDefinitionNode> = {};
    for (const definition of document.definitions) {
      if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments[definition.name.value] = definition;
    }
    const ofRepresentations = representationVariables(operation);
    const others = (operation.variableDefinitions ?? []).filter(
      ({ variable }) => !ofRepresentations.includes(variable.name.value),
    );

    return (variables: Variables): OperationPlan | undefined => {
      if (!ofRepresentations.every((name) => isListWithoutNull(variables[name]))) return undefined;
      const { coerced } = getVariableValues(schema, others, variables, { maxErrors: 1 });
      if (coerced === undefined) return undefined;
      const key = JSON.stringify(coerced);
      if (plans.has(key)) return plans.get(key);
      const plan = tryToPlan({ schema, operation, fragments, variableValues: coerced });
      if (plans.size < MAX_PLANS && key.length <= MAX_KEY_LENGTH) plans.set(key, plan);
      return plan;
    };
  }

  return (document, operation, variables) => {
    let plans = known.get(operation);
    if (plans === undefined) known.set(operation, (plans = plansOf(document, operation)));
    return plans(variables);
  };
}

function tryToPlan(source: Parameters<typeof planOperation>[0]): OperationPlan | undefined {
  try {
    const plan = planOperation(source);
    return isPlain(plan) ? plan : undefined;
  } catch {
    return undefined;
  }
}

/** As a key of an object this one alone is special. */
function isPlain({ entities, onlyEntities }: OperationPlan): boolean {
  const fields = entities.flatMap((entity) => entity.fields);
  const ofTasks = fields.flatMap(({ task }) =>
    task === undefined ? [] : [...task.ofTask, ...task.ofAbsent],
  );
  return onlyEntities && ![...entities, ...fields, ...ofTasks].some(({ key }) => key === '__proto__');
}

/** What makes representations right for graphql-js, which copies them to find it out. */
function isListWithoutNull(value: unknown): boolean {
  return Array.isArray(value) && !value.includes(null);
}
