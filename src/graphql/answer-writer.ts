import type { SourceLocation } from 'graphql';

import type { Fault } from './error-map.ts';
import type { RequestError } from './request-error.ts';

export interface WrittenAnswer {
  readonly json: string;
  /**
   * As GraphQL over HTTP defines it: 200 for an operation that was executed, 400 for one that the client must correct.
   */
  readonly status: number;
  readonly hasData: boolean;
  /** The number of errors by code. */
  readonly errorCounts: ReadonlyMap<string, number>;
}

/** Writes an answer whose data consists of lists, entry by entry, within a size limit. */
export interface AnswerWriter {
  /** A field that is no list, as JSON. */
  addField(prefix: string, json: string): void;
  /** @param prefix The key of the list with a colon, as JSON. */
  beginList(prefix: string): void;
  /** Appends one entry, already serialised as JSON. */
  add(json: string): void;
  endList(): void;
  /** @param path The elements of the error's path, as they stand between the brackets of a JSON array. */
  addError(fault: Fault, location: SourceLocation, path: string): void;
  /** The length so far, in UTF-16 code units. */
  length(): number;
  /** Returns the whole answer exactly as Apollo Server would write it, or undefined if it is larger than `maxBytes`. */
  finish(): WrittenAnswer | undefined;
}

export function createAnswerWriter(maxBytes: number): AnswerWriter {
  const errorCounts = new Map<string, number>();
  let data = '';
  let errors = '';
  let separator = '';
  const length = (): number => data.length + errors.length;

  return {
    addField(prefix, json) {
      data += `${data === '' ? '' : ','}${prefix}${json}`;
    },
    beginList(prefix) {
      data += `${data === '' ? '' : ','}${prefix}[`;
      separator = '';
    },
    add(json) {
      data += separator + json;
      separator = ',';
    },
    endList() {
      data += ']';
    },
    addError({ message, extensions }, { line, column }, path) {
      errors += `${errors === '' ? '' : ','}{"message":${JSON.stringify(message)},"locations":[{"line":${line},"column":${column}}],"path":[${path}],"extensions":${JSON.stringify(extensions)}}`;
      errorCounts.set(extensions.code, (errorCounts.get(extensions.code) ?? 0) + 1);
    },
    length,
    finish() {
      if (length() > maxBytes) return undefined;
      const json = `{${errors === '' ? '' : `"errors":[${errors}],`}"data":{${data}}}\n`;
      return Buffer.byteLength(json) > maxBytes
        ? undefined
        : { json, status: 200, hasData: true, errorCounts };
    },
  };
}

/** Writes the answer to a request that was not executed. */
export function writeErrors({ code, errors, status }: RequestError): WrittenAnswer {
  return {
    json: `${JSON.stringify({ errors })}\n`,
    status,
    hasData: false,
    errorCounts: new Map([[code, errors.length]]),
  };
}
