import type { ApolloServerPlugin } from '@apollo/server';
import type { FormattedExecutionResult, GraphQLFormattedError } from 'graphql';

import type { GraphQLContext } from './context.ts';
import { ERROR_CODES } from './error-map.ts';

/** An answer as a whole: without errors, data with errors, or errors alone. */
type AnswerKind = 'ok' | 'partial' | 'failed';

/** How many errors of an answer carry each code; a code that is not one of `ERROR_CODES` is `other`. */
export type ErrorCounts = ReadonlyMap<string, number>;

/** Is told how an operation was answered. */
export type OnAnswer = (kind: AnswerKind, errors: ErrorCounts) => void;

const KNOWN_CODES: ReadonlySet<unknown> = new Set(ERROR_CODES);
const NO_ERRORS: ErrorCounts = new Map();

/** Tells how an operation was answered. An answer can hold ten thousand errors, so they are counted here, by code. */
export function reportAnswer(
  { data, errors }: Pick<FormattedExecutionResult, 'data' | 'errors'>,
  { onAnswer }: GraphQLContext,
): void {
  if (errors === undefined) onAnswer('ok', NO_ERRORS);
  else onAnswer(data ? 'partial' : 'failed', countByCode(errors));
}

/** Tells it of all that Apollo Server answers. */
export function createAnswerReport(): ApolloServerPlugin<GraphQLContext> {
  return {
    async requestDidStart() {
      return {
        async willSendResponse({ contextValue, response: { body } }) {
          if (body.kind === 'single') reportAnswer(body.singleResult, contextValue);
        },
      };
    },
  };
}

function countByCode(errors: readonly GraphQLFormattedError[]): ErrorCounts {
  const counts = new Map<string, number>();
  for (const { extensions } of errors) {
    const given = extensions?.['code'];
    const code = KNOWN_CODES.has(given) ? (given as string) : 'other';
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  return counts;
}
