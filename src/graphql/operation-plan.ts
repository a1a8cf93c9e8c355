import {
  type FieldNode,
  type FragmentDefinitionNode,
  getArgumentValues,
  getDirectiveValues,
  GraphQLError,
  GraphQLIncludeDirective,
  GraphQLList,
  type GraphQLNullableType,
  type GraphQLObjectType,
  type GraphQLScalarType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  Kind,
  type OperationDefinitionNode,
  print,
  type SelectionNode,
  type SelectionSetNode,
  type SourceLocation,
  valueFromAST,
} from 'graphql';

import type { OtaTaskType } from '../ota-task.ts';
import { badArgument, type Fault, OPERATION_TOO_LARGE } from './error-map.ts';
import { locationOf } from './location.ts';
import { MAX_PLANNED_SELECTIONS } from './limits.ts';
import { RequestError } from './request-error.ts';

const OUR_FIELDS: ReadonlySet<string> = new Set(['__typename', 'id', 'otaTask', 'otaTaskResult']);
const ADDRESS_FIELDS: ReadonlySet<string> = new Set(['ipPort', 'downloadUrl']);

export type VariableValues = Readonly<Record<string, unknown>>;

/** An operation that was validated. */
export interface PlanSource {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode | undefined>>;
  /** After coercion; values of `_Any` are not looked at. */
  readonly variableValues: VariableValues;
}

/** What an operation asks for, with fragments spread, fields merged and directives obeyed. */
export interface OperationPlan {
  /** Its `_entities` fields. */
  readonly entities: readonly PlannedEntities[];
  /** Whether it asks for nothing but what a plan can answer of them. */
  readonly onlyEntities: boolean;
  /** Why none of its entities can be resolved. */
  readonly fault: Fault | undefined;
  /** Selections that were visited: a measure of what the plan and its operation weigh. */
  readonly weight: number;
}

interface Planned {
  readonly name: string;
  /** In the answer. */
  readonly key: string;
  /** The key with a colon, as JSON. */
  readonly prefix: string;
}

export interface PlannedEntities extends Planned {
  readonly location: SourceLocation;
  /**
   * Finds its representations among the variables of a request.
   *
   * @throws RequestError where they are null.
   */
  readonly representationsIn: (variableValues: VariableValues) => readonly unknown[];
  readonly fields: readonly PlannedField[];
  readonly tasks: readonly PlannedTask[];
  /** Values that each representation adds to the answer. */
  readonly values: number;
}

/** A field of a device: `id` or `__typename`, or one with a task. */
export interface PlannedField extends Planned {
  readonly location: SourceLocation;
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
 * @throws GraphQLError where a directive of a root field has an argument that is null against its type: validation
 * permits it if the variable has a default. Within entities the same is the plan's `fault`.
 */
export function planOperation(source: PlanSource): OperationPlan {
  const { schema, operation } = source;
  const query = schema.getQueryType() as GraphQLObjectType;
  const collect = createCollector(source);
  const roots = collect([operation.selectionSet], query);
  const entityRoots = roots.filter(([{ name }]) => name.value === '_entities');
  let onlyEntities = entityRoots.length === roots.length;

  let fault: Fault | undefined;
  const entities = entityRoots.map((nodes): PlannedEntities => {
    let fields: PlannedField[] = [];
    try {
      if (fault === undefined) fields = planFields(nodes, collect, source);
    } catch (error) {
      fault = error instanceof GraphQLError ? badArgument(error) : OPERATION_TOO_LARGE;
    }
    // What belongs to another subgraph, no router asks us for.
    if (!fields.every(({ name }) => OUR_FIELDS.has(name))) onlyEntities = false;
    const tasks = fields.flatMap(({ task }) => task ?? []);
    return {
      ...planned(nodes, collect),
      location: locationOf(nodes[0]),
      representationsIn: planRepresentations(nodes[0], source),
      fields,
      tasks,
      values: tasks.reduce((sum, { ofTask }) => sum + ofTask.length, fields.length),
    };
  });
  return { entities, onlyEntities, fault, weight: collect.visited() };
}

/** Variables that hold nothing but representations, whatever their values are: no plan depends on them. */
export function representationVariables({ variableDefinitions = [] }: OperationDefinitionNode): string[] {
  return variableDefinitions
    .filter(({ type, defaultValue }) => defaultValue === undefined && print(type) === '[_Any!]!')
    .map(({ variable }) => variable.name.value);
}

function planRepresentations(
  node: FieldNode,
  { schema, operation }: PlanSource,
): PlannedEntities['representationsIn'] {
  const value = node.arguments?.find(({ name }) => name.value === 'representations')?.value;
  if (value?.kind === Kind.VARIABLE && representationVariables(operation).includes(value.name.value)) {
    const name = value.name.value;
    return (variableValues) => variableValues[name] as unknown[];
  }
  // A null among them, which a variable can be, is the fault of that entity alone.
  const list = new GraphQLList(schema.getType('_Any') as GraphQLScalarType & GraphQLNullableType);
  return (variableValues) => {
    const representations: unknown = valueFromAST(value, list, variableValues);
    if (!Array.isArray(representations)) {
      throw new RequestError('BAD_USER_INPUT', ['Argument "representations" must not be null.']);
    }
    return representations as unknown[];
  };
}

function planFields(nodes: MergedField, collect: CollectFields, source: PlanSource): PlannedField[] {
  const device = source.schema.getType('Device') as GraphQLObjectType;
  return collect(selectionSets(nodes), device).map((merged) => ({
    ...planned(merged, collect),
    location: locationOf(merged[0]),
    // The fields of a device that select something of what they answer are those with a task.
    task: merged[0].selectionSet === undefined ? undefined : planTask(merged, device, collect, source),
  }));
}

function planTask(
  nodes: MergedField,
  device: GraphQLObjectType,
  collect: CollectFields,
  { schema, variableValues }: PlanSource,
): PlannedTask {
  const [{ name }] = nodes;
  const field = device.getFields()[name.value];
  const { type } = getArgumentValues(field as NonNullable<typeof field>, nodes[0], variableValues);
  const of = (typeName: string): Planned[] =>
    collect(selectionSets(nodes), schema.getType(typeName) as GraphQLObjectType).map((merged) =>
      planned(merged, collect),
    );
  const ofTask = of('OtaTask');
  return {
    type: type as OtaTaskType,
    withAddress: ofTask.some((each) => ADDRESS_FIELDS.has(each.name)),
    ofTask,
    ofAbsent: name.value === 'otaTaskResult' ? of('OtaTaskAbsent') : [],
  };
}

function planned([{ alias, name }]: MergedField, collect: CollectFields): Planned {
  const key = (alias ?? name).value;
  return { name: name.value, key, prefix: collect.prefixOf(key) };
}

/** Nodes with one response key; they are executed as one field. */
type MergedField = [FieldNode, ...FieldNode[]];

interface CollectFields {
  (selectionSets: readonly SelectionSetNode[], type: GraphQLObjectType): MergedField[];
  /** Selections visited so far. */
  visited(): number;
  /** A key with a colon, as JSON: one string for all fields with the key, which may be many, and long. */
  prefixOf(key: string): string;
}

class PlanTooLargeError extends Error {}

/**
 * Collects the fields that an object answers, as the specification's CollectFields defines them.
 *
 * @throws PlanTooLargeError once all that it collected took too many steps.
 * @see https://spec.graphql.org/October2021/#CollectFields()
 */
function createCollector({ schema, fragments, variableValues }: PlanSource): CollectFields {
  let visited = 0;
  const prefixes = new Map<string, string>();

  function collect(selectionSets: readonly SelectionSetNode[], type: GraphQLObjectType): MergedField[] {
    const fields = new Map<string, MergedField>();
    const spread = new Set<string>();
    for (const selectionSet of selectionSets) visit(selectionSet);
    return [...fields.values()];

    function visit(selectionSet: SelectionSetNode): void {
      for (const node of selectionSet.selections) {
        if (++visited > MAX_PLANNED_SELECTIONS) throw new PlanTooLargeError();
        if (!isIncluded(node, variableValues)) continue;
        if (node.kind === Kind.FIELD) {
          const key = node.alias?.value ?? node.name.value;
          const merged = fields.get(key);
          if (merged === undefined) fields.set(key, [node]);
          else merged.push(node);
        } else if (node.kind === Kind.INLINE_FRAGMENT) {
          if (appliesTo(node.typeCondition?.name.value)) visit(node.selectionSet);
        } else if (!spread.has(node.name.value)) {
          spread.add(node.name.value);
          const fragment = fragments[node.name.value];
          if (fragment && appliesTo(fragment.typeCondition.name.value)) visit(fragment.selectionSet);
        }
      }
    }

    function appliesTo(condition: string | undefined): boolean {
      if (condition === undefined || condition === type.name) return true;
      const conditionType = schema.getType(condition);
      return (
        conditionType !== undefined && 'getTypes' in conditionType && conditionType.getTypes().includes(type)
      );
    }
  }

  function prefixOf(key: string): string {
    let prefix = prefixes.get(key);
    if (prefix === undefined) prefixes.set(key, (prefix = `${JSON.stringify(key)}:`));
    return prefix;
  }

  return Object.assign(collect, { visited: () => visited, prefixOf });
}

function isIncluded(node: SelectionNode, variableValues: VariableValues): boolean {
  if (node.directives === undefined || node.directives.length === 0) return true;
  return (
    getDirectiveValues(GraphQLSkipDirective, node, variableValues)?.['if'] !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, variableValues)?.['if'] !== false
  );
}

function selectionSets(nodes: MergedField): SelectionSetNode[] {
  return nodes.flatMap(({ selectionSet }) => selectionSet ?? []);
}
