import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

import {
  type Directive,
  type Fragment,
  type Recipe,
  type RepresentationKind,
  type Selection,
  type Value,
  spreadable,
  VARIABLE_TYPES,
  type VariableType,
} from './recipe.ts';

/** A request as it is sent. */
export interface Request {
  /** Of the operation. */
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Of the body, before it was compressed. */
  readonly decodedBytes: number;
}

/** What has more is refused before anything of it is looked at, and says nothing. */
const MAX_TEXT = 80_000;
const MAX_BODY = 2 * 1024 * 1024;
const MAX_HEADER = 14_000;

export class TooLongError extends Error {}

/**
 * @param nonce Makes the text of the operation another, so that it is not known from before.
 * @throws TooLongError where the service would not even look at it.
 */
export function render(recipe: Recipe, nonce: number): Request {
  const operation = writeOperation(recipe, nonce);
  const body = Buffer.from(writeBody(recipe.body, operation));
  if (body.length > MAX_BODY) throw new TooLongError();
  const { encoding } = recipe.body;
  const { accept, repeat, trace } = recipe.headers;
  const accepts = `${accept}${`,${accept}`.repeat(repeat - 1)}`;
  return {
    text: operation.text,
    headers: {
      'content-type': 'application/json',
      accept: accepts.slice(0, MAX_HEADER),
      ...(encoding !== 'plain' && { 'content-encoding': encoding }),
      ...(trace && { 'apollo-federation-include-trace': 'ftv1' }),
    },
    body: encoding === 'plain' ? body : encoding === 'gzip' ? gzipSync(body) : compress(body),
    decodedBytes: body.length,
  };
}

/** Less thoroughly than it could, for speed. */
function compress(body: Buffer): Buffer {
  return brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
}

function writeBody(body: Recipe['body'], { text, variables }: Operation): string {
  const besides: Readonly<Record<Recipe['body']['beside'], () => string>> = {
    nothing: () => '',
    deep: () => `,"extensions":{"e":${'[{"a":'.repeat(body.repeat)}1${'}]'.repeat(body.repeat)}}`,
    keys: () => `,"extensions":{${list(body.repeat, (i) => `"k${i}":${i}`)}}`,
    text: () => `,"extensions":{"e":"${'\\u0001'.repeat(body.repeat)}"}`,
    variables: () => `,"unused":{${list(body.repeat, (i) => `"v${i}":[${i}]`)}}`,
    representations: () => `,"representations":[${list(body.repeat, () => '7')}]`,
  };
  const query = JSON.stringify(text);
  return `{"query":${body.escaped ? escapeAll(query) : query},"variables":${variables},"operationName":"O0"${besides[body.beside]()}}`;
}

function escapeAll(json: string): string {
  return json.replaceAll(/[a-z{}]/g, (letter, at: number) =>
    json[at - 1] === '\\' ? letter : `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function list(count: number, each: (i: number) => string): string {
  if (count * each(0).length > MAX_BODY) throw new TooLongError();
  return Array.from({ length: count }, (_, i) => each(i)).join(',');
}

interface Operation {
  readonly text: string;
  /** As JSON. */
  readonly variables: string;
}

function writeOperation(recipe: Recipe, nonce: number): Operation {
  const { filler, operations, fragments, nameLength, representations } = recipe;
  const { distinct, withDefaults, booleans, others } = recipe.variables;
  const used = new Map<string, VariableType>();
  const spread = new Set<string>();
  let aliases = 0;
  let uses = 0;
  let length = 0;

  const parts = (count: number, each: (i: number) => string): string => {
    let text = '';
    for (let i = 0; i < count; i++) {
      const part = each(i);
      text += (i === 0 ? '' : ' ') + part;
      if ((length += 1) > MAX_TEXT || text.length > MAX_TEXT) throw new TooLongError();
    }
    return text;
  };
  const writeAll = (selections: readonly Selection[], fragment: number, copy: number): string =>
    parts(selections.length, (i) => {
      const selection = selections[i] as Selection;
      return parts(selection.repeat, (turn) => write(selection, turn, fragment, copy));
    });

  function write(selection: Selection, turn: number, fragment: number, copy: number): string {
    const directives = writeDirective(selection.directive);
    if (selection.kind === 'spread') return writeSpread(selection, turn, fragment, copy) + directives;
    const inner =
      selection.selections.length === 0 ? '' : `{${writeAll(selection.selections, fragment, copy)}}`;
    if (selection.kind === 'inline') {
      return `...${selection.condition && `on ${selection.condition}`}${directives}${inner || '{__typename}'}`;
    }
    const alias = { none: '', numbered: `a${aliases}:`, long: `${'n'.repeat(nameLength)}${aliases}:` };
    if (selection.alias !== 'none') aliases++;
    const given = selection.arguments.map(({ argument, value }) => `${argument}:${writeValue(value)}`);
    return `${alias[selection.alias]}${selection.name}${given.length === 0 ? '' : `(${given.join(' ')})`}${directives}${inner}`;
  }

  /** Only of fragments that stand further on, or of a copy that does: a circle is refused. */
  function writeSpread(
    { on, fragment: place }: Selection & { kind: 'spread' },
    turn: number,
    fragment: number,
    copy: number,
  ): string {
    const fits = [...fragments.keys()].filter(
      (at) => at >= fragment && spreadable(on).includes(fragments[at]?.on as string),
    );
    const at = fits[place % fits.length];
    if (at === undefined) return '__typename';
    const { repeat } = fragments[at] as Fragment;
    const which = at === fragment ? copy + 1 + turn : turn % repeat;
    if (which >= repeat) return '__typename';
    spread.add(`${at}x${which}`);
    return `...F${at}x${which}`;
  }

  function writeDirective({ directives, repeat, if: condition }: Directive): string {
    if (directives.length === 0) return '';
    return parts(directives.length === 0 ? 0 : repeat, (i) => {
      const name = directives[i % directives.length] as string;
      return `@${name}(if:${writeValue(condition)})`;
    });
  }

  function writeValue(value: Value): string {
    switch (value.kind) {
      case 'variable': {
        const name = value.type === 'r' ? 'r' : `${value.type}${uses++ % distinct}`;
        used.set(name, value.type);
        return `$${name}`;
      }
      case 'text':
        return parts(value.repeat, () => value.text);
      case 'list':
        return `[${parts(value.repeat, () => writeValue(value.value))}]`;
      case 'object':
        return `{${parts(value.repeat, (i) => `k${i}:${writeValue(value.value)}`)}}`;
      case 'nested':
        return `${'[{a:'.repeat(value.repeat)}${writeValue(value.value)}${'}]'.repeat(value.repeat)}`;
    }
  }

  const bodies = parts(operations.repeat, (i) => `query O${i}(){${writeAll(operations.selections, -1, 0)}}`);
  // What writing them adds to the set, the loop still reaches.
  const definitions: string[] = [];
  for (const name of spread) {
    const [at = 0, copy = 0] = name.split('x').map(Number);
    const { on, directive, selections } = fragments[at] as Fragment;
    definitions.push(
      `fragment F${name} on ${on}${writeDirective(directive)}{${writeAll(selections, at, copy)}}`,
    );
  }
  for (let i = 0; i < operations.unused; i++) used.set(`unused${i}`, 'a');
  const declared = [...used].map(
    ([name, type]) => `$${name}:${VARIABLE_TYPES[type]}${withDefaults ? `=${DEFAULTS[type]}` : ''}`,
  );
  const heads = bodies.replaceAll('()', declared.length === 0 ? '' : `(${declared.join(' ')})`);
  const fill = filler.text.repeat(filler.text === '\ufeff' ? 1 : filler.repeat);
  const text = `${fill}#${String(nonce).padStart(9, '0')}\n${heads}\n${definitions.join('\n')}`;
  if (text.length > MAX_TEXT) throw new TooLongError();

  const scalar = (name: string, type: VariableType): string => {
    if (type === 'b' && booleans === 'mixed')
      return String((name.length + nonce + Number(name.slice(1))) % 2 === 0);
    return type === 'b' ? booleans : VALUES[type];
  };
  const values = [...used].flatMap(([name, type], i) => {
    if (name === 'r') return `"r":[${writeRepresentations(representations)}]`;
    if (others === 'absent') return [];
    // One is enough: it is told of, or stands for what is not.
    const json = others === 'right' || i > 0 ? scalar(name, type) : ODD_VALUES[others]();
    return `"${name}":${json}`;
  });
  return { text, variables: `{${values.join(',')}}` };
}

const DEFAULTS: Readonly<Record<VariableType, string>> = {
  r: '[{__typename:"Device" id:"d1"}]',
  a: '{__typename:"Device" id:"d1"}',
  l: '[1]',
  t: 'FOTA',
  b: 'true',
  s: '"Device"',
};
const VALUES: Readonly<Record<VariableType, string>> = {
  r: '[]',
  a: '{"__typename":"Device","id":"d1"}',
  l: '[1,2]',
  t: '"SOTA"',
  b: 'true',
  s: '"OtaTask"',
};
const ODD_VALUES = {
  null: () => 'null',
  wrong: () => '[[{"a":"b"}]]',
  long: () => `"${'\\u0001x'.repeat(100_000)}"`,
  deep: () => `${'[{"a":'.repeat(50_000)}1${'}]'.repeat(50_000)}`,
};

function writeRepresentations({ repeat, distinct, of }: Recipe['representations']): string {
  const longest = 'i'.repeat(64);
  const device = (id: string): string => `{"__typename":"Device","id":"${id}"}`;
  const kinds: Readonly<Record<RepresentationKind, (id: number) => string>> = {
    task: (id) => device(`d${id}`),
    fat: (id) => device(`fat-${id}`),
    'errno-4': (id) => device(`errno-4-${longest.slice(20)}${id}`),
    'errno-12': (id) => device(`errno-12-${id}`),
    'errno-99': (id) => device(`errno-99-${id}`),
    garbage: (id) => device(`garbage-${id}`),
    mixed: (id) =>
      device(`${['d', 'fat-', 'errno-4-', 'errno-12-', 'garbage-', '#'][id % 6] as string}${id}`),
    number: () => '7',
    empty: () => '{}',
    null: () => 'null',
    deep: () => `{"__typename":${'[{"a":'.repeat(100)}1${'}]'.repeat(100)}}`,
    long: (id) => device(`${longest.repeat(20)}${id}`),
    keys: (id) =>
      `{${Array.from({ length: 20 }, (_, i) => `"k${i}":${id}`).join(',')},"__typename":"Device","id":"d"}`,
  };
  return list(repeat, (i) => kinds[of](i % distinct));
}
