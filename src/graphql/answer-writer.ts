import type { SourceLocation } from 'graphql';

import type { Fault } from './error-map.ts';
import type { RequestError, RequestErrorCode } from './request-error.ts';

export interface WrittenAnswer {
  /** In pieces if it is long. */
  readonly json: string | readonly Buffer[];
  /** Why the operation was not executed; undefined if it was. */
  readonly refusal: RequestErrorCode | undefined;
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
  /** The length so far; of what was added last, in UTF-16 code units instead of bytes. */
  length(): number;
  /** Returns the whole answer exactly as Apollo Server would write it, or undefined if it is larger than `maxBytes`. */
  finish(): WrittenAnswer | undefined;
}

export function createAnswerWriter(maxBytes: number): AnswerWriter {
  const errorCounts = new Map<string, number>();
  const data = createText();
  const errors = createText();
  let separator = '';
  const length = (): number => data.length() + errors.length();

  return {
    addField(prefix, json) {
      data.add(`${data.length() === 0 ? '' : ','}${prefix}${json}`);
    },
    beginList(prefix) {
      data.add(`${data.length() === 0 ? '' : ','}${prefix}[`);
      separator = '';
    },
    add(json) {
      data.add(separator + json);
      separator = ',';
    },
    endList() {
      data.add(']');
    },
    addError({ message, extensions }, { line, column }, path) {
      errors.add(
        `${errors.length() === 0 ? '' : ','}{"message":${JSON.stringify(message)},"locations":[{"line":${line},"column":${column}}],"path":[${path}],"extensions":${JSON.stringify(extensions)}}`,
      );
      errorCounts.set(extensions.code, (errorCounts.get(extensions.code) ?? 0) + 1);
    },
    length,
    finish() {
      if (length() > maxBytes) return undefined;
      const all = createText();
      all.add('{');
      if (errors.length() > 0) all.add('"errors":[', errors, '],');
      all.add('"data":{', data, '}}\n');
      const json = all.end();
      const bytes = typeof json === 'string' ? Buffer.byteLength(json) : all.length();
      return bytes > maxBytes ? undefined : { json, refusal: undefined, hasData: true, errorCounts };
    },
  };
}

const PIECE_LENGTH = 64 * 1024;

/** Text that is appended to. */
interface Text {
  add(...parts: readonly (string | Text)[]): void;
  length(): number;
  /** The whole text, as a string if that is short. */
  end(): string | readonly Buffer[];
}

/**
 * Keeps a long text as buffers. As a string it would be garbage in a part of the heap that V8 rarely collects: answers
 * of 11 MB, one after the other, took 415 MB of memory as strings, and take 160 MB as buffers.
 */
function createText(): Text {
  const pieces: Buffer[] = [];
  let bytes = 0;
  let rest = '';

  function push(piece: Buffer): void {
    pieces.push(piece);
    bytes += piece.length;
  }

  function cut(): void {
    if (rest !== '') push(Buffer.from(rest));
    rest = '';
  }

  return {
    add(...parts) {
      for (const part of parts) {
        const text = typeof part === 'string' ? part : part.end();
        if (typeof text === 'string') {
          rest += text;
        } else {
          cut();
          text.forEach(push);
        }
        if (rest.length >= PIECE_LENGTH) cut();
      }
    },
    length: () => bytes + rest.length,
    end() {
      if (pieces.length === 0) return rest;
      cut();
      return pieces;
    },
  };
}

/** Writes the answer to a request that was not executed. */
export function writeErrors({ code, errors }: RequestError): WrittenAnswer {
  return {
    json: `${JSON.stringify({ errors })}\n`,
    refusal: code,
    hasData: false,
    errorCounts: new Map([[code, errors.length]]),
  };
}
