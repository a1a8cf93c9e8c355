import {
  type FieldNode,
  type FragmentDefinitionNode,
  getArgumentValues,
  getDirectiveValues,
  getLocation,
  GraphQLIncludeDirective,
  type GraphQLObjectType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  Kind,
  type OperationDefinitionNode,
  print,
  type SelectionNode,
  type SelectionSetNode,
  type SourceLocation,
} from 'graphql';

import type { OtaTaskType } from '../ota-task.ts';

const ADDRESS_FIELDS: ReadonlySet<string> = new Set(['ipPort', 'downloadUrl']);

/** An operation that was validated, and what it runs with; `GraphQLResolveInfo` is one. */
export interface PlanSource {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode | undefined>>;
  /** After coercion. */
  readonly variableValues: Readonly<Record<string, unknown>>;
}

/** What an operation asks for, with fragments spread, fields merged and directives obeyed. */
export interface OperationPlan {
  /** Its `_entities` fields. */
  readonly entities: readonly PlannedEntities[];
  /** Whether it asks for nothing else. */
  readonly onlyEntities: boolean;
}

interface Planned {
  /** In the answer. */
  readonly key: string;
  readonly name: string;
}

interface Located extends Planned {
  readonly locations: readonly SourceLocation[];
}

export interface PlannedEntities extends Located {
  /** Finds its representations among the variables of a request. */
  readonly representationsIn: (variableValues: Readonly<Record<string, unknown>>) => readonly unknown[];
  readonly fields: readonly PlannedField[];
  readonly tasks: readonly PlannedTask[];
  /** Values that each representation adds to the answer. */
  readonly values: number;
}

/** A field of a device: `id` or `__typename`, or one with a task. */
export interface PlannedField extends Located {
  readonly task: PlannedTask | undefined;
}

interface PlannedTask {
  readonly type: OtaTaskType;
  readonly withAddress: boolean;
  /** What is asked of a task. */
  readonly ofTask: readonly Planned[];
  /** What is asked of the absence of one, where that is data. */
  readonly ofAbsent: readonly Planned[];
}

/**
 * Plans an operation of the subgraph's schema, which has no fields but these.
 *
 * @throws GraphQLError where a variable is null and an argument must not be; validation permits it if the variable has a default.
 */
export function planOperation(source: PlanSource): OperationPlan {
  const { schema, operation } = source;
  const query = schema.getQueryType() as GraphQLObjectType;
  const roots = collectFields([operation.selectionSet], query, source);
  const entities = roots
    .filter(([{ name }]) => name.value === '_entities')
    .map((nodes) => planEntities(nodes, query, source));
  return { entities, onlyEntities: entities.length === roots.length };
}

function planEntities(nodes: MergedField, query: GraphQLObjectType, source: PlanSource): PlannedEntities {
  const device = source.schema.getType('Device') as GraphQLObjectType;
  const fields = collectFields(selectionSets(nodes), device, source).map((merged) => ({
    ...located(merged),
    task: merged[0].selectionSet === undefined ? undefined : planTask(merged, device, source),
  }));
  const tasks = fields.flatMap(({ task }) => task ?? []);
  const values = tasks.reduce((sum, { ofTask }) => sum + ofTask.length, fields.length);
  return {
    ...located(nodes),
    representationsIn: planRepresentations(nodes[0], query, source),
    fields,
    tasks,
    values,
  };
}

function planRepresentations(
  node: FieldNode,
  query: GraphQLObjectType,
  source: PlanSource,
): PlannedEntities['representationsIn'] {
  const value = node.arguments?.find(({ name }) => name.value === 'representations')?.value;
  if (value?.kind === Kind.VARIABLE) {
    const name = value.name.value;
    if (representationVariables(source.operation).includes(name)) {
      return (variableValues) => variableValues[name] as unknown[];
    }
  }
  const { representations } = argumentsOf(query, node, source) as { representations: unknown[] };
  return () => representations;
}

/** Variables that hold nothing but representations, whatever their values are: no plan depends on them. */
export function representationVariables({ variableDefinitions = [] }: OperationDefinitionNode): string[] {
  return variableDefinitions
    .filter(({ type, defaultValue }) => defaultValue === undefined && print(type) === '[_Any!]!')
    .map(({ variable }) => variable.name.value);
}

/** The fields of a device that select something of what they answer are those with a task. */
function planTask(nodes: MergedField, device: GraphQLObjectType, source: PlanSource): PlannedTask {
  const { type } = argumentsOf(device, nodes[0], source) as { type: OtaTaskType };
  const of = (name: string): Planned[] =>
    collectFields(selectionSets(nodes), source.schema.getType(name) as GraphQLObjectType, source).map(
      planned,
    );
  const ofTask = of('OtaTask');
  const ofAbsent = nodes[0].name.value === 'otaTaskResult' ? of('OtaTaskAbsent') : [];
  return { type, withAddress: ofTask.some(({ name }) => ADDRESS_FIELDS.has(name)), ofTask, ofAbsent };
}

function planned([{ alias, name }]: MergedField): Planned {
  return { key: (alias ?? name).value, name: name.value };
}

function located(nodes: MergedField): Located {
  const locations = nodes.flatMap(({ loc }) => (loc === undefined ? [] : getLocation(loc.source, loc.start)));
  return { ...planned(nodes), locations };
}

/** Nodes with one response key; they are executed as one field. */
type MergedField = [FieldNode, ...FieldNode[]];

/**
 * The fields that an object of `type` answers, as the specification's CollectFields defines them.
 *
 * @see https://spec.graphql.org/October2021/#CollectFields()
 */
function collectFields(
  selectionSets: readonly SelectionSetNode[],
  type: GraphQLObjectType,
  source: PlanSource,
): MergedField[] {
  const fields = new Map<string, MergedField>();
  const visited = new Set<string>();
  for (const selectionSet of selectionSets) visit(selectionSet);
  return [...fields.values()];

  function visit(selectionSet: SelectionSetNode): void {
    for (const node of selectionSet.selections) {
      if (!isIncluded(node, source)) continue;
      if (node.kind === Kind.FIELD) {
        const key = node.alias?.value ?? node.name.value;
        const merged = fields.get(key);
        if (merged === undefined) fields.set(key, [node]);
        else merged.push(node);
      } else if (node.kind === Kind.INLINE_FRAGMENT) {
        if (appliesTo(node.typeCondition?.name.value)) visit(node.selectionSet);
      } else if (!visited.has(node.name.value)) {
        visited.add(node.name.value);
        const fragment = source.fragments[node.name.value];
        if (fragment && appliesTo(fragment.typeCondition.name.value)) visit(fragment.selectionSet);
      }
    }
  }

  function appliesTo(condition: string | undefined): boolean {
    if (condition === undefined || condition === type.name) return true;
    const conditionType = source.schema.getType(condition);
    return (
      conditionType !== undefined && 'getTypes' in conditionType && conditionType.getTypes().includes(type)
    );
  }
}

function isIncluded(node: SelectionNode, { variableValues }: PlanSource): boolean {
  if (node.directives === undefined || node.directives.length === 0) return true;
  return (
    getDirectiveValues(GraphQLSkipDirective, node, variableValues)?.['if'] !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, variableValues)?.['if'] !== false
  );
}

function selectionSets(nodes: MergedField): SelectionSetNode[] {
  return nodes.flatMap(({ selectionSet }) => selectionSet ?? []);
}

function argumentsOf(type: GraphQLObjectType, node: FieldNode, source: PlanSource): unknown {
  const field = type.getFields()[node.name.value];
  return field === undefined ? {} : getArgumentValues(field, node, source.variableValues);
}
