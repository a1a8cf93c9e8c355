import type { GraphQLError } from 'graphql';

import type { Admission, GraphQLContext } from './context.ts';
import { readReference } from './device-reference.ts';
import { badUserInput, operationTooLarge } from './error-map.ts';
import { pairId } from './loader.ts';
import type { PlannedEntities } from './operation-plan.ts';

/** Representations times task fields may be this many times the pairs that an operation may ask for. */
const DUPLICATION_ALLOWED = 10;
/** Values in the answer for each of those; a router asks for a dozen. */
const VALUES_PER_TASK = 20;
/** What no limit above makes smaller, however small `MAX_DEVICE_TASKS` is. */
const VALUES_ALWAYS_ALLOWED = 20_000;
/** A body holds fewer representations than this; only who repeats them under many aliases has more. */
const MAX_REPRESENTATIONS = 100_000;

/**
 * Looks at all `_entities` fields of an operation together: what they ask for must be within the limits before the first call goes
 * out, and what anybody wants to know of a pair decides how it is asked upstream.
 *
 * Distinct (device, type) pairs may be at most `maxDeviceTasks`; representations times task fields, duplicates included,
 * at most ten times that; and the values in the answer twenty times that.
 *
 * @returns Nothing when the operation repeats its representations so often that even nulls for them are too much.
 */
export function admitOperation(
  requested: readonly PlannedEntities[],
  { maxDeviceTasks, addressWanted }: Pick<GraphQLContext, 'maxDeviceTasks' | 'addressWanted'>,
): Admission | undefined {
  const maxTasks = maxDeviceTasks * DUPLICATION_ALLOWED;
  const sum = (count: (field: PlannedEntities) => number): number =>
    requested.reduce((total, field) => total + field.representations.length * count(field), 0);

  if (sum(() => 1) > Math.max(MAX_REPRESENTATIONS, maxTasks * DUPLICATION_ALLOWED)) return undefined;
  const admitted =
    sum(({ tasks }) => tasks.length) <= maxTasks &&
    sum(({ values }) => values) <= Math.max(VALUES_ALWAYS_ALLOWED, maxTasks * VALUES_PER_TASK) &&
    countPairs(requested, maxDeviceTasks, addressWanted) <= maxDeviceTasks;
  return { admitted, refuse: admitted ? badUserInput : operationTooLarge, errorsLeft: maxTasks };
}

/** For an operation that cannot be planned. */
export function refuseOperation(
  { message }: GraphQLError,
  { maxDeviceTasks }: Pick<GraphQLContext, 'maxDeviceTasks'>,
): Admission {
  return {
    admitted: false,
    refuse: () => badUserInput(message),
    errorsLeft: maxDeviceTasks * DUPLICATION_ALLOWED,
  };
}

/** Distinct pairs, counted until there are too many; those with an address wanted are added to `addressWanted`. */
function countPairs(requested: readonly PlannedEntities[], max: number, addressWanted: Set<string>): number {
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
