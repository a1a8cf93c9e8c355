/** Bytes of an operation's text. Scanning it must cost no more than the rest of the request. */
export const MAX_TEXT_BYTES = 64 * 1024;
/** A router's operation for this schema needs a few dozen. */
export const MAX_TOKENS = 2000;
/** Far more than any router's operation for this schema has, and far less than what makes executing one slow. */
export const MAX_ALIASES = 200;
export const MAX_DIRECTIVES = 200;
/** Selection sets within each other; data is four deep. */
export const MAX_DEPTH = 20;
/** Selections that planning visits: aliases times fragments multiply, however short the text is. */
export const MAX_PLANNED_SELECTIONS = 50_000;
/** Values that graphql-js may resolve one by one, which costs fifteen times what a plan does. */
export const MAX_RESOLVED_VALUES = 5000;
/** What an error costs with Apollo's federated trace, in values: 50 to 80 µs, and a value 15. */
export const VALUES_PER_TRACED_ERROR = 4;

/** Representations times task fields may be this many times the pairs that an operation may ask for. */
const DUPLICATION = 10;
/** Values in the answer for each of those; a router asks for a dozen. */
const VALUES_PER_TASK = 20;
/** What holds however small `MAX_DEVICE_TASKS` is. */
const MIN_VALUES = 20_000;
/** A body holds fewer representations than this; only one that repeats them under many aliases has more. */
const MIN_REPRESENTATIONS = 100_000;
const MIN_ANSWER_BYTES = 16 * 1024 * 1024;
const ANSWER_BYTES_PER_TASK = 1024;

/** What one operation may cost, duplicates included. All ways of executing it draw on this budget. */
export interface OperationLimits {
  /** Distinct (device, type) pairs. */
  readonly pairs: number;
  /** Representations times fields with a task. */
  readonly tasks: number;
  /** Values in the answer. */
  readonly values: number;
  /** Errors for entities that were not resolved. */
  readonly entityErrors: number;
  /** Beyond this, even nulls are too many. */
  readonly representations: number;
  readonly answerBytes: number;
}

/** @param maxDeviceTasks `MAX_DEVICE_TASKS`, from which all other limits follow. */
export function limitsFor(maxDeviceTasks: number): OperationLimits {
  const tasks = maxDeviceTasks * DUPLICATION;
  return {
    pairs: maxDeviceTasks,
    tasks,
    values: Math.max(MIN_VALUES, tasks * VALUES_PER_TASK),
    entityErrors: tasks,
    representations: Math.max(MIN_REPRESENTATIONS, tasks * DUPLICATION),
    answerBytes: Math.max(MIN_ANSWER_BYTES, maxDeviceTasks * ANSWER_BYTES_PER_TASK),
  };
}
