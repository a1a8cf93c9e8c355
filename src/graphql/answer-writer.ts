import type { SourceLocation } from 'graphql';

import type { Fault } from './error-map.ts';
import type { RequestError } from './request-error.ts';

export interface WrittenAnswer {
  readonly json: string;
  /** As GraphQL over HTTP has it: 200 for what was executed, 400 for what only the client can mend. */
  readonly status: number;
  readonly hasData: boolean;
  /** How many errors carry each code. */
  readonly errorCounts: ReadonlyMap<string, number>;
}

/** Writes an answer whose data is lists, entry by entry, and never more than it may be long. */
export interface AnswerWriter {
  /** A field that is no list, as JSON. */
  addField(prefix: string, json: string): void;
  /** @param prefix The key of the list with a colon, as JSON. */
  beginList(prefix: string): void;
  /** One entry of the list, as JSON. */
  add(json: string): void;
  endList(): void;
  /** @param path What comes between the brackets of a JSON array. */
  addError(fault: Fault, location: SourceLocation, path: string): void;
  /** So far, in UTF-16 code units. */
  length(): number;
  /** The whole answer, as Apollo Server would write it; undefined where it has more than `maxBytes`. */
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

/** The answer to a request of which nothing is executed. */
export function writeErrors({ code, errors, status }: RequestError): WrittenAnswer {
  return {
    json: `${JSON.stringify({ errors })}\n`,
    status,
    hasData: false,
    errorCounts: new Map([[code, errors.length]]),
  };
}
