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

/** A validated operation. */
export interface PlanSource {
  readonly schema: GraphQLSchema;
  readonly operation: OperationDefinitionNode;
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode | undefined>>;
  /** Coerced, except for values of type `_Any`, which planning ignores. */
  readonly variableValues: VariableValues;
}

/** What an operation asks for, after spreading fragments, merging fields and applying directives. */
export interface OperationPlan {
  /** All fields of the query. */
  readonly roots: readonly (PlannedEntities | Planned)[];
  /** Its `_entities` fields. */
  readonly entities: readonly PlannedEntities[];
  /** Whether it asks for nothing else, but for `__typename`, and for nothing of them that a plan cannot answer. */
  readonly onlyEntities: boolean;
  /** Why none of the entities can be resolved, if so. */
  readonly fault: Fault | undefined;
  /** Selections visited, as a measure of the memory that the plan and its operation use. */
  readonly weight: number;
}

interface Planned {
  readonly name: string;
  /** The response key. */
  readonly key: string;
  /** The response key as JSON, followed by a colon. */
  readonly prefix: string;
}

export interface PlannedEntities extends Planned {
  readonly location: SourceLocation;
  /**
   * Reads the field's representations from the variables of a request.
   *
   * @throws RequestError if they are null.
   */
  readonly representationsIn: (variableValues: VariableValues) => readonly unknown[];
  readonly fields: readonly PlannedField[];
  readonly tasks: readonly PlannedTask[];
  /** Values that one representation adds to the answer. */
  readonly values: number;
}

/** A field of a device: `id`, `__typename` or a task field. */
export interface PlannedField extends Planned {
  readonly location: SourceLocation;
  readonly task: PlannedTask | undefined;
}

interface PlannedTask {
  readonly type: OtaTaskType;
  readonly withAddress: boolean;
  /** Fields selected on `OtaTask`. */
  readonly ofTask: readonly Planned[];
  /** Fields selected on `OtaTaskAbsent`, for `otaTaskResult`. */
  readonly ofAbsent: readonly Planned[];
}

/**
 * Plans an operation of the subgraph's schema.
 *
 * @throws GraphQLError if a directive of a root field has null for a non-null argument; validation permits a nullable
 * variable there if it has a default. Within entities the same mistake becomes the plan's `fault`.
 */
export function planOperation(source: PlanSource): OperationPlan {
  const { schema, operation } = source;
  const query = schema.getQueryType() as GraphQLObjectType;
  const collect = createCollector(source);
  const roots = collect([operation.selectionSet], query);
  let onlyEntities = roots.every(([{ name }]) => name.value === '_entities' || name.value === '__typename');

  let fault: Fault | undefined;
  const planEntities = (nodes: MergedField): PlannedEntities => {
    let fields: PlannedField[] = [];
    try {
      if (fault === undefined) fields = planFields(nodes, collect, source);
    } catch (error) {
      fault = error instanceof GraphQLError ? badArgument(error) : OPERATION_TOO_LARGE;
    }
    // A field of another subgraph, such as the product; no router asks us for it.
    if (!fields.every(({ name }) => OUR_FIELDS.has(name))) onlyEntities = false;
    const tasks = fields.flatMap(({ task }) => task ?? []);
    return {
      ...planned(nodes, collect),
      location: locationOf(nodes[0]),
      representationsIn: planRepresentations(nodes[0], source),
      fields,
      tasks,
      values: tasks.reduce(
        (sum, { ofTask, ofAbsent }) => sum + Math.max(ofTask.length, ofAbsent.length),
        fields.length,
      ),
    };
  };
  const plannedRoots = roots.map((nodes) =>
    nodes[0].name.value === '_entities' ? planEntities(nodes) : planned(nodes, collect),
  );
  return {
    roots: plannedRoots,
    entities: plannedRoots.filter((root): root is PlannedEntities => 'fields' in root),
    onlyEntities,
    fault,
    weight: collect.visited(),
  };
}

/** Variables that hold only representations. Plans do not depend on their values. */
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
  // Null elements, possible through a variable, become errors of their own entities.
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
    // Only the task fields of a device have a selection set.
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

/** Nodes that share a response key and are executed as one field. */
type MergedField = [FieldNode, ...FieldNode[]];

interface CollectFields {
  (selectionSets: readonly SelectionSetNode[], type: GraphQLObjectType): MergedField[];
  /** Selections visited so far. */
  visited(): number;
  /**
   * The response key as JSON, followed by a colon. All fields with the same key share one string, since there may be
   * many long ones.
   */
  prefixOf(key: string): string;
}

class PlanTooLargeError extends Error {}

/**
 * Collects the fields of an object as the specification's CollectFields does.
 *
 * @throws PlanTooLargeError once the plan has visited more than `MAX_PLANNED_SELECTIONS` selections in all.
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
