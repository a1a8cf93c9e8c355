import type { FetchOtaTasks } from '../ask-ota-tasks.ts';
import type { RequestScope } from '../request-scope.ts';
import type { Admission } from './admission.ts';
import type { ReadReference } from './device-reference.ts';
import { createOtaTaskLoader, type OtaTaskLoader } from './loader.ts';

/** What the resolvers of one GraphQL request share. Apollo Server copies it, so what changes is behind a reference. */
export interface GraphQLContext {
  readonly scope: RequestScope;
  /** The one way to OneNET. */
  readonly loader: OtaTaskLoader;
  /** What was found out about the whole operation before any of its entities is resolved. */
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
