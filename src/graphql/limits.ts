/** Bytes of an operation's text, so that scanning it costs no more than the rest of the request. */
export const MAX_TEXT_BYTES = 64 * 1024;
/** Lexical tokens of a document; a router's operation for this schema has a few dozen. */
export const MAX_TOKENS = 2000;
/** Far more than a router's operation for this schema has, and far fewer than would make execution slow. */
export const MAX_ALIASES = 200;
export const MAX_DIRECTIVES = 200;
/** Nested selection sets; the schema's data is four levels deep. */
export const MAX_DEPTH = 20;
/** Selections that planning may visit: aliases times fragments multiply, however short the text is. */
export const MAX_PLANNED_SELECTIONS = 50_000;
/** Values that graphql-js may resolve one by one, at fifteen times the cost of a plan. */
export const MAX_RESOLVED_VALUES = 5000;
/** What an error costs with Apollo's federated trace, in values: measured at 50 to 80 µs, against 15 µs for a value. */
export const VALUES_PER_TRACED_ERROR = 4;

/** Representations times task fields may be this many times the number of pairs that an operation may ask for. */
const DUPLICATION = 10;
/** Values in the answer for each of these task fields; a router asks for a dozen. */
const VALUES_PER_TASK = 20;
/** The lower bound of the value limit, however small `MAX_DEVICE_TASKS` is. */
const MIN_VALUES = 20_000;
/**
 * More `Device` representations than one body can hold, so that only an operation that repeats them under aliases
 * exceeds it.
 */
const MIN_REPRESENTATIONS = 100_000;
const MIN_ANSWER_BYTES = 16 * 1024 * 1024;
const ANSWER_BYTES_PER_TASK = 1024;

/** What one operation may cost, duplicates included, whichever engine executes it. */
export interface OperationLimits {
  /** Distinct (device, type) pairs. */
  readonly pairs: number;
  /** Representations times their task fields. */
  readonly tasks: number;
  /** Values in the answer. */
  readonly values: number;
  /** Errors of entities that are not resolved. */
  readonly entityErrors: number;
  /** Representations, beyond which even their nulls would make the answer too large. */
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
