import type { FetchOtaTasks } from '../ask-ota-tasks.ts';
import type { RequestScope } from '../request-scope.ts';
import type { Admission } from './admission.ts';
import type { ReadReference } from './device-reference.ts';
import { createOtaTaskLoader, type OtaTaskLoader } from './loader.ts';

/**
 * What the resolvers of one GraphQL request share. Apollo Server makes a shallow copy of it, so mutable state must sit
 * behind a reference.
 */
export interface GraphQLContext {
  readonly scope: RequestScope;
  /** Every call to OneNET goes through this loader. */
  readonly loader: OtaTaskLoader;
  /** What was decided about the whole operation before any of its entities is resolved. */
  readonly admission: Admission;
  readonly readReference: ReadReference;
}

export function createContext(
  fetchOtaTasks: FetchOtaTasks,
  readReference: ReadReference,
  admission: Admission,
  scope: RequestScope,
): GraphQLContext {
  const loader = createOtaTaskLoader((requests) => fetchOtaTasks(requests, scope));
  return { scope, loader, admission, readReference };
}
