import type { FetchOtaTasks, OtaTaskOutcome, OtaTaskRequest, Requester } from '../ota-task.ts';
import type { OnAnswer } from './answer-report.ts';
import type { Fault } from './error-map.ts';
import { createOtaTaskLoader, type OtaTaskLoader } from './loader.ts';

/** What is known of a whole operation before any of its entities is resolved. */
export interface Admission {
  /** The distinct pairs that it asks for, by id; undefined where none of its entities may be resolved. */
  readonly pairs: ReadonlyMap<string, OtaTaskRequest> | undefined;
  /** For entities that are not resolved. */
  readonly fault: Fault;
  /** How many more entities may carry an error of their own: the answer's size stays bounded. */
  errorsLeft: number;
}

/** What the resolvers of one GraphQL request share. Apollo Server copies it, so what changes is behind a reference. */
export interface GraphQLContext {
  /** Most distinct (device, type) pairs that the operation may ask for. */
  readonly maxDeviceTasks: number;
  readonly requester: Requester;
  readonly onAnswer: OnAnswer;
  /** Asks for pairs that are known to be distinct, all at once. */
  readonly fetch: (requests: readonly OtaTaskRequest[]) => Promise<readonly (OtaTaskOutcome | Error)[]>;
  /** Gathers the pairs that resolvers ask for one by one. */
  readonly loader: OtaTaskLoader;
  /** Set by the first `_entities` field that is resolved, for the whole operation. */
  admission?: Admission | undefined;
}

export interface ContextOptions {
  readonly fetchOtaTasks: FetchOtaTasks;
  readonly maxDeviceTasks: number;
  readonly requester: Requester;
  readonly onAnswer: OnAnswer;
}

export function createContext({
  fetchOtaTasks,
  maxDeviceTasks,
  requester,
  onAnswer,
}: ContextOptions): GraphQLContext {
  const fetch: GraphQLContext['fetch'] = (requests) => fetchOtaTasks(requests, requester);
  return { maxDeviceTasks, requester, onAnswer, fetch, loader: createOtaTaskLoader(fetch) };
}
