import {
  type FieldNode,
  getArgumentValues,
  getDirectiveValues,
  GraphQLIncludeDirective,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  GraphQLSkipDirective,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';

import type { OtaTaskType } from '../ota-task.ts';
import type { Admission, GraphQLContext } from './context.ts';
import { readReference } from './device-reference.ts';
import { tooManyRepresentations } from './error-map.ts';
import { pairId } from './loader.ts';

/** Representations times task fields may be this many times the pairs that an operation may ask for. */
const DUPLICATION_ALLOWED = 10;
/** Values in the answer for each of those; a router asks for a dozen. */
const VALUES_PER_TASK = 20;
/** What no limit above makes smaller, however small `MAX_DEVICE_TASKS` is. */
const VALUES_ALWAYS_ALLOWED = 20_000;
/** A body holds fewer representations than this; only who repeats them under many aliases has more. */
const MAX_REPRESENTATIONS = 100_000;

const TASK_FIELDS: ReadonlySet<string> = new Set(['otaTask', 'otaTaskResult']);
const ADDRESS_FIELDS: ReadonlySet<string> = new Set(['ipPort', 'downloadUrl']);

/**
 * Walks all `_entities` fields of the operation: what they ask for must be within the limits before the first call goes
 * out, and what anybody wants to know of a pair decides how it is asked upstream.
 *
 * Distinct (device, type) pairs may be at most `maxDeviceTasks`; representations times task fields, duplicates included,
 * at most ten times that; and the values in the answer twenty times that.
 *
 * @throws GraphQLError when the operation repeats its representations so often that even nulls for them are too much.
 */
export function admitOperation(
  info: GraphQLResolveInfo,
  { maxDeviceTasks, addressWanted }: Pick<GraphQLContext, 'maxDeviceTasks' | 'addressWanted'>,
): Admission {
  const maxTasks = maxDeviceTasks * DUPLICATION_ALLOWED;
  const requested = entityFields(info);
  const sum = (count: (field: EntityField) => number): number =>
    requested.reduce((total, field) => total + field.representations.length * count(field), 0);

  if (sum(() => 1) > Math.max(MAX_REPRESENTATIONS, maxTasks * DUPLICATION_ALLOWED))
    throw tooManyRepresentations();
  const admitted =
    sum(({ tasks }) => tasks.length) <= maxTasks &&
    sum(({ values }) => values) <= Math.max(VALUES_ALWAYS_ALLOWED, maxTasks * VALUES_PER_TASK) &&
    countPairs(requested, maxDeviceTasks, addressWanted) <= maxDeviceTasks;
  return { admitted, errorsLeft: maxTasks };
}

/** Distinct pairs, counted until there are too many; those with an address wanted are added to `addressWanted`. */
function countPairs(requested: readonly EntityField[], max: number, addressWanted: Set<string>): number {
  const pairs = new Set<string>();
  for (const { representations, tasks } of requested) {
    for (const representation of representations) {
      const device = readReference(representation);
      if (device === undefined) continue;
      for (const task of tasks) {
        const pair = pairId({ deviceId: device.id, type: task.type });
        pairs.add(pair);
        if (task.withAddress) addressWanted.add(pair);
      }
      if (pairs.size > max) return pairs.size;
    }
  }
  return pairs.size;
}

interface EntityField {
  readonly representations: readonly unknown[];
  readonly tasks: readonly { readonly type: OtaTaskType; readonly withAddress: boolean }[];
  /** Values that each representation adds to the answer. */
  readonly values: number;
}

function entityFields(info: GraphQLResolveInfo): EntityField[] {
  const { schema, operation } = info;
  const device = schema.getType('Device') as GraphQLObjectType;
  const query = schema.getQueryType() as GraphQLObjectType;
  const task = schema.getType('OtaTask') as GraphQLObjectType;

  const fields: EntityField[] = [];
  for (const nodes of collectFields([operation.selectionSet], query, info)) {
    if (nodes[0].name.value !== '_entities') continue;
    const { representations } = argumentsOf(query, nodes[0], info) as { representations: unknown[] };
    const selected = collectFields(selectionSets(nodes), device, info);
    const tasks = [];
    let values = selected.length;
    for (const taskNodes of selected) {
      if (!TASK_FIELDS.has(taskNodes[0].name.value)) continue;
      const { type } = argumentsOf(device, taskNodes[0], info) as { type: OtaTaskType };
      const taskFields = collectFields(selectionSets(taskNodes), task, info);
      tasks.push({ type, withAddress: taskFields.some(([node]) => ADDRESS_FIELDS.has(node.name.value)) });
      values += taskFields.length;
    }
    fields.push({ representations, tasks, values });
  }
  return fields;
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
  info: GraphQLResolveInfo,
): MergedField[] {
  const fields = new Map<string, MergedField>();
  const visited = new Set<string>();
  for (const selectionSet of selectionSets) visit(selectionSet);
  return [...fields.values()];

  function visit(selectionSet: SelectionSetNode): void {
    for (const node of selectionSet.selections) {
      if (!isIncluded(node, info)) continue;
      if (node.kind === Kind.FIELD) {
        const key = node.alias?.value ?? node.name.value;
        const merged = fields.get(key);
        if (merged === undefined) fields.set(key, [node]);
        else merged.push(node);
      } else if (node.kind === Kind.INLINE_FRAGMENT) {
        if (appliesTo(node.typeCondition?.name.value)) visit(node.selectionSet);
      } else if (!visited.has(node.name.value)) {
        visited.add(node.name.value);
        const fragment = info.fragments[node.name.value];
        if (fragment && appliesTo(fragment.typeCondition.name.value)) visit(fragment.selectionSet);
      }
    }
  }

  function appliesTo(condition: string | undefined): boolean {
    if (condition === undefined || condition === type.name) return true;
    const conditionType = info.schema.getType(condition);
    return (
      conditionType !== undefined && 'getTypes' in conditionType && conditionType.getTypes().includes(type)
    );
  }
}

function isIncluded(node: SelectionNode, { variableValues }: GraphQLResolveInfo): boolean {
  if (node.directives === undefined || node.directives.length === 0) return true;
  return (
    getDirectiveValues(GraphQLSkipDirective, node, variableValues)?.['if'] !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, variableValues)?.['if'] !== false
  );
}

function selectionSets(nodes: MergedField): SelectionSetNode[] {
  return nodes.flatMap(({ selectionSet }) => selectionSet ?? []);
}

function argumentsOf(type: GraphQLObjectType, node: FieldNode, info: GraphQLResolveInfo): unknown {
  const field = type.getFields()[node.name.value];
  return field === undefined ? {} : getArgumentValues(field, node, info.variableValues);
}
