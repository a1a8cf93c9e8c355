import { countResolvedValues, type Representations } from './admission.ts';
import { MAX_RESOLVED_VALUES, VALUES_PER_TRACED_ERROR } from './limits.ts';
import type { OperationPlan } from './operation-plan.ts';
import { RequestError } from './request-error.ts';

export type Engine = 'plan' | 'graphql-js';

/**
 * Decides what executes an operation:
 *
 * | operation                                                           | engine     |
 * | ------------------------------------------------------------------- | ---------- |
 * | `_entities` and nothing else                                        | plan       |
 * | the same, with Apollo's federated trace of every field, unless long | graphql-js |
 * | anything else: `_service`, introspection, these beside `_entities`  | graphql-js |
 *
 * @throws RequestError if an operation mixes `_entities` with other root fields, which no router does, and has more
 * values than graphql-js can resolve quickly.
 */
export function engineFor(
  plan: OperationPlan | undefined,
  representations: Representations,
  wantsFederatedTrace: boolean,
): Engine {
  if (plan === undefined) return 'graphql-js';
  const perError = wantsFederatedTrace ? VALUES_PER_TRACED_ERROR : 1;
  const isLong = countResolvedValues(plan, representations, perError) > MAX_RESOLVED_VALUES;
  if (plan.onlyEntities) return wantsFederatedTrace && !isLong ? 'graphql-js' : 'plan';
  if (isLong) {
    throw new RequestError('BAD_REQUEST', [
      `Beside other root fields, _entities may have at most ${MAX_RESOLVED_VALUES} values.`,
    ]);
  }
  return 'graphql-js';
}
