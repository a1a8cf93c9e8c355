import { stripSensitiveLiterals } from '@apollo/utils.stripsensitiveliterals';
import { type DocumentNode, getOperationAST, print } from 'graphql';

import type { TracedOperation } from '../request-scope.ts';

/** Describes an operation of a valid document for its trace. */
export function describeOperation(
  document: DocumentNode,
  operationName: string | undefined,
): TracedOperation {
  const operation = getOperationAST(document, operationName);
  return {
    type: operation?.operation ?? 'query',
    name: operation?.name?.value,
    document: print(stripSensitiveLiterals(document, { hideListAndObjectLiterals: true })),
  };
}
