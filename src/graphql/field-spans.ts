import { pairId } from '../ota-task.ts';
import type { RequestTrace } from '../request-scope.ts';
import type { Representations } from './admission.ts';
import type { GraphQLContext } from './context.ts';
import { faultOf } from './error-map.ts';
import type { OperationPlan } from './operation-plan.ts';

/**
 * Begins a span for each task field of each device, as the resolvers do when graphql-js executes the operation.
 *
 * @returns Ends all of them, once the pairs are loaded.
 */
export function beginFieldSpans(
  { entities }: OperationPlan,
  representations: Representations,
  { readReference, admission: { pairs } }: GraphQLContext,
  trace: RequestTrace,
): () => void {
  const ends: (() => void)[] = [];
  entities.forEach(({ fields }, i) => {
    for (const representation of representations[i] ?? []) {
      const reference = readReference(representation);
      if (reference === undefined || reference.productId === null) continue;
      const { id: deviceId, productId } = reference;
      for (const { name, task } of fields) {
        if (task === undefined) continue;
        const key = { deviceId, productId, type: task.type };
        const end = trace.field(name, key);
        const pair = pairs?.get(pairId(key));
        ends.push(() => end(faultOf(name, pair?.outcome, key)?.extensions.code));
      }
    }
  });
  return () => {
    for (const end of ends) end();
  };
}
