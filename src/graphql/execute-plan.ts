import type { Pairs, Representations } from './admission.ts';
import { type AnswerWriter, createAnswerWriter, type WrittenAnswer } from './answer-writer.ts';
import type { GraphQLContext } from './context.ts';
import { createEntityWriter } from './entity-writer.ts';
import { type Fault, OPERATION_TOO_LARGE, type ReportUnforeseen } from './error-map.ts';
import { beginFieldSpans } from './field-spans.ts';
import type { OperationLimits } from './limits.ts';
import type { OtaTaskLoader } from './loader.ts';
import type { OperationPlan, PlannedEntities } from './operation-plan.ts';

/**
 * Executes an operation's plan with the result that graphql-js would give, but without resolving each field of each
 * entity: it writes JSON directly, and serialises a device once however often it is requested.
 */
export async function executePlan(
  plan: OperationPlan,
  representations: Representations,
  limits: OperationLimits,
  context: GraphQLContext,
  report: ReportUnforeseen,
): Promise<WrittenAnswer> {
  const { admission, scope, readReference } = context;
  const { pairs } = admission;
  if (pairs === undefined) return writeNulls(plan, representations, limits, admission.fault);
  const endFieldSpans = scope.trace && beginFieldSpans(plan, representations, context, scope.trace);
  await loadOutcomes(pairs, context.loader);
  endFieldSpans?.();

  const answer = createAnswerWriter(limits.answerBytes);
  forEachRoot(plan, representations, answer, ({ key, location, fields }, ofRoot) => {
    const writeEntity = createEntityWriter(fields, pairs, limits.answerBytes);
    const path = JSON.stringify(key);
    ofRoot.forEach((representation, index) => {
      if (answer.length() > limits.answerBytes) return;
      const reference = readReference(representation);
      if (reference === undefined) {
        if (admission.errorsLeft-- > 0) answer.addError(admission.fault, location, `${path},${index}`);
        answer.add('null');
        return;
      }
      const { json, faults } = writeEntity(reference);
      for (const { field, fault } of faults) {
        if (fault.cause !== undefined) report(fault.cause, [key, index, field.key], scope);
        answer.addError(fault, field.location, `${path},${index},${JSON.stringify(field.key)}`);
      }
      answer.add(json);
    });
  });
  return answer.finish() ?? writeNulls(plan, representations, limits, OPERATION_TOO_LARGE);
}

/** Writes null for every entity, and an error for as many of them as may carry one. */
function writeNulls(
  plan: OperationPlan,
  representations: Representations,
  { entityErrors, answerBytes }: OperationLimits,
  fault: Fault,
): WrittenAnswer {
  // No limit is needed here: the nulls of all admissible representations take at most half of `answerBytes`.
  const answer = createAnswerWriter(Infinity);
  let errorsLeft = entityErrors;
  forEachRoot(plan, representations, answer, ({ key, location }, ofRoot) => {
    const path = JSON.stringify(key);
    ofRoot.forEach((_, index) => {
      if (errorsLeft-- > 0 && answer.length() < answerBytes / 2)
        answer.addError(fault, location, `${path},${index}`);
      answer.add('null');
    });
  });
  return answer.finish() as WrittenAnswer;
}

/** Writes the fields of the query in their order; `write` is to write the entries of a list of entities. */
function forEachRoot(
  { roots }: OperationPlan,
  representations: Representations,
  answer: AnswerWriter,
  write: (entities: PlannedEntities, representations: readonly unknown[]) => void,
): void {
  let i = 0;
  for (const root of roots) {
    if (!('fields' in root)) {
      answer.addField(root.prefix, '"Query"');
      continue;
    }
    answer.beginList(root.prefix);
    write(root, representations[i++] ?? []);
    answer.endList();
  }
}

async function loadOutcomes(pairs: Pairs, loader: OtaTaskLoader): Promise<void> {
  const outcomes = await loader.loadMany([...pairs.values()]);
  let i = 0;
  for (const pair of pairs.values()) pair.outcome = outcomes[i++];
}
