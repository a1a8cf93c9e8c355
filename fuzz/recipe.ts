import fc from 'fast-check';
import {
  getNamedType,
  type GraphQLArgument,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLObjectType,
  isAbstractType,
  isCompositeType,
  SchemaMetaFieldDef,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
} from 'graphql';

import { createSchema } from '../src/graphql/schema.ts';

/** What a request is made of, as plain data, so that a search can vary any part of it. `repeat` is how often a part stands there. */
export interface Recipe {
  readonly filler: { readonly text: string; readonly repeat: number };
  readonly operations: {
    readonly repeat: number;
    readonly selections: readonly Selection[];
    readonly unused: number;
  };
  readonly fragments: readonly Fragment[];
  /** Of the aliases that are long. */
  readonly nameLength: number;
  readonly variables: {
    /** Distinct variables of each type. */
    readonly distinct: number;
    readonly withDefaults: boolean;
    readonly booleans: 'true' | 'false' | 'mixed';
    readonly others: 'right' | 'null' | 'wrong' | 'long' | 'deep' | 'absent';
  };
  readonly representations: {
    readonly repeat: number;
    /** Ids among them. */
    readonly distinct: number;
    readonly of: RepresentationKind;
  };
  readonly body: {
    readonly beside: 'nothing' | 'deep' | 'keys' | 'text' | 'variables' | 'representations';
    readonly repeat: number;
    readonly escaped: boolean;
    readonly encoding: 'plain' | 'gzip' | 'br';
  };
  readonly headers: { readonly accept: string; readonly repeat: number; readonly trace: boolean };
}

export type Selection = FieldSelection | InlineFragment | FragmentSpread;

interface Part {
  /** The type that it is selected from. */
  readonly on: string;
  readonly repeat: number;
  readonly directive: Directive;
}

interface FieldSelection extends Part {
  readonly kind: 'field';
  readonly name: string;
  readonly alias: 'none' | 'numbered' | 'long';
  readonly arguments: readonly Argument[];
  readonly selections: readonly Selection[];
}

interface InlineFragment extends Part {
  readonly kind: 'inline';
  readonly condition: string;
  readonly selections: readonly Selection[];
}

interface FragmentSpread extends Part {
  readonly kind: 'spread';
  /** Its place among the fragments, from wherever it is spread. */
  readonly fragment: number;
}

/** `repeat` fragments that are alike but for their names. */
export interface Fragment extends Part {
  readonly selections: readonly Selection[];
}

export interface Directive {
  readonly directives: readonly string[];
  readonly repeat: number;
  readonly if: Value;
}

interface Argument {
  readonly argument: string;
  readonly value: Value;
}

export type Value =
  | { readonly kind: 'variable'; readonly type: VariableType }
  | { readonly kind: 'text'; readonly text: string; readonly repeat: number }
  | { readonly kind: 'list' | 'object' | 'nested'; readonly repeat: number; readonly value: Value };

export const VARIABLE_TYPES = {
  r: '[_Any!]!',
  a: '_Any',
  l: '[_Any]',
  t: 'OtaTaskType!',
  b: 'Boolean!',
  s: 'String!',
} as const;
export type VariableType = keyof typeof VARIABLE_TYPES;

const REPRESENTATION_KINDS = [
  'task',
  'fat',
  'errno-4',
  'errno-12',
  'errno-99',
  'garbage',
  'mixed',
  'number',
  'empty',
  'null',
  'deep',
  'long',
  'keys',
] as const;
export type RepresentationKind = (typeof REPRESENTATION_KINDS)[number];

/** Mostly one, for a product of many numbers is soon beyond all limits. */
const repeat = (max: number): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant(1) },
    { weight: 3, arbitrary: fc.integer({ min: 2, max: Math.min(20, max) }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max }) },
  );
const often = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );

const RICH = [
  '_entities',
  'otaTask',
  'otaTaskResult',
  'types',
  'fields',
  'type',
  'token',
  'downloadUrl',
  'reason',
];
const ODD_NAMES = ['unknown', '__proto__', 'constructor', 'toString'];
const TEXTS = ['null', 'true', '1', 'FOTA', '"Device"', '"\\u0001"', '"""\n"""', '1e400', '$'];

const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.record({
      kind: fc.constant('variable' as const),
      type: fc.constantFrom(...(Object.keys(VARIABLE_TYPES) as VariableType[])),
    }),
    fc.record({ kind: fc.constant('text' as const), text: fc.constantFrom(...TEXTS), repeat: repeat(3) }),
    fc.record({
      kind: fc.constantFrom('list' as const, 'object' as const, 'nested' as const),
      repeat: repeat(900),
      value: tie('value'),
    }),
  ),
}));

/** Nearly always of the type that is wanted: one wrong value, and nothing else of a request is looked at. */
const valueOf = (type: VariableType, text: string): fc.Arbitrary<Value> =>
  fc.oneof(
    { weight: 40, arbitrary: fc.constant<Value>({ kind: 'variable', type }) },
    { weight: 20, arbitrary: fc.constant<Value>({ kind: 'text', text, repeat: 1 }) },
    { weight: 1, arbitrary: value },
  );
const VALUES: Readonly<Record<string, fc.Arbitrary<Value>>> = {
  '[_Any!]!': valueOf('r', '[]'),
  'OtaTaskType!': valueOf('t', 'FOTA'),
  'String!': valueOf('s', '"Device"'),
  Boolean: valueOf('b', 'true'),
};

const directive: fc.Arbitrary<Directive> = fc.record({
  directives: fc.oneof(
    { weight: 8, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(often('skip', 'include', 'include', ...ODD_NAMES), { maxLength: 2 }) },
  ),
  repeat: repeat(20),
  if: valueOf('b', 'false'),
});

const schema = createSchema({ productField: undefined, secretFieldScopes: undefined });
const query = schema.getQueryType() as GraphQLObjectType;
const composites = Object.values(schema.getTypeMap()).filter(isCompositeType);
const typeNames = composites.map(({ name }) => name);

function fieldsOf(type: GraphQLCompositeType): GraphQLField<unknown, unknown>[] {
  const fields = 'getFields' in type ? Object.values(type.getFields()) : [];
  const meta = type === query ? [SchemaMetaFieldDef, TypeMetaFieldDef] : [];
  return [...fields, ...meta, TypeNameMetaFieldDef];
}

const { ...selections } = fc.letrec<Record<string, Selection[]>>((tie) =>
  Object.fromEntries(
    composites.map((type) => {
      const isOfSchema = type.name.startsWith('_') && type.name !== '_Entity';
      const part = { on: fc.constant(type.name), repeat: repeat(200), directive };
      const field = (
        name: fc.Arbitrary<string>,
        args: readonly GraphQLArgument[],
        ofType?: string,
      ): fc.Arbitrary<Selection> => {
        const right = args.map(({ name: argument, type: wanted }) =>
          fc.record({ argument: fc.constant(argument), value: VALUES[String(wanted)] ?? value }),
        );
        const odd = fc.array(fc.record({ argument: fc.constantFrom('type', ...ODD_NAMES), value }), {
          maxLength: 3,
        });
        return fc.record({
          kind: fc.constant('field' as const),
          ...part,
          name,
          alias: isOfSchema
            ? often<FieldSelection['alias']>('none', 'numbered')
            : fc.constantFrom('numbered', 'none', 'long'),
          arguments: fc.oneof({ weight: 60, arbitrary: fc.tuple(...right) }, { weight: 1, arbitrary: odd }),
          selections: ofType === undefined ? fc.constant([]) : tie(ofType),
        });
      };
      const fields = fieldsOf(type).map(({ name, args, type: of }) => ({
        name,
        arbitrary: field(
          fc.constant(name),
          args,
          isCompositeType(getNamedType(of)) ? getNamedType(of).name : undefined,
        ),
      }));
      const known = fields.map(({ arbitrary }) => arbitrary);
      // What there is most to find in.
      const composite = fields.filter(({ name }) => RICH.includes(name)).map(({ arbitrary }) => arbitrary);
      const condition = fc.constantFrom('', ...spreadable(type.name), ...spreadable(type.name));
      const inline = condition.chain((condition) =>
        fc.record({
          kind: fc.constant('inline' as const),
          ...part,
          condition: fc.constant(condition),
          selections: tie(condition === '' ? type.name : condition),
        }),
      );
      const one = fc.oneof(
        { maxDepth: 6, depthIdentifier: 'selection' },
        { weight: 10, arbitrary: field(fc.constant('__typename'), []) },
        { weight: 40, arbitrary: fc.oneof(...known) },
        { weight: 60, arbitrary: fc.oneof(...(composite.length > 0 ? composite : known)) },
        {
          weight: 20,
          arbitrary: fc.record({ kind: fc.constant('spread' as const), ...part, fragment: fc.nat(7) }),
        },
        { weight: 'getFields' in type ? 10 : 150, arbitrary: inline },
        { weight: 1, arbitrary: field(fc.constantFrom(...ODD_NAMES, 'id', 'size'), []) },
      );
      return [type.name, fc.array(one, { minLength: 1, maxLength: 4, depthIdentifier: 'selection' })];
    }),
  ),
);

/** Types of which a fragment may be spread where the type is selected from. */
export function spreadable(typeName: string): string[] {
  const type = schema.getType(typeName);
  return isAbstractType(type)
    ? [typeName, ...schema.getPossibleTypes(type).map(({ name }) => name)]
    : [typeName];
}

const onQuery = selections[query.name] as fc.Arbitrary<Selection[]>;

const fragment = fc.constantFrom('Device', 'Query', 'OtaTask', ...typeNames).chain((on) =>
  fc.record({
    on: fc.constant(on),
    repeat: repeat(200),
    directive,
    selections: selections[on] as fc.Arbitrary<Selection[]>,
  }),
);

const JSON_TYPE = 'application/json';

/** Every kind of request that the search begins with. */
export const recipes: fc.Arbitrary<Recipe> = fc.record({
  filler: fc.record({
    text: fc.constantFrom('', '\n', '\r\n', '\r', ' ', ',', '#\n', '\ufeff'),
    repeat: repeat(65_000),
  }),
  operations: fc.record({ repeat: repeat(150), selections: onQuery, unused: often(0, 1, 10, 300) }),
  fragments: fc.array(fragment, { maxLength: 4 }),
  nameLength: fc.integer({ min: 1, max: 60_000 }),
  variables: fc.record({
    distinct: repeat(200),
    withDefaults: often(false, true),
    booleans: fc.constantFrom('true', 'false', 'mixed'),
    others: often('right', 'null', 'wrong', 'long', 'deep', 'absent'),
  }),
  representations: fc.record({
    repeat: fc.oneof(repeat(1000), fc.integer({ min: 1, max: 100_000 })),
    distinct: fc.oneof(repeat(10), fc.integer({ min: 1, max: 1000 })),
    of: often('task', ...REPRESENTATION_KINDS),
  }),
  body: fc.record({
    beside: often('nothing', 'deep', 'keys', 'text', 'variables', 'representations'),
    repeat: repeat(100_000),
    escaped: often(false, true),
    encoding: fc.constantFrom('plain', 'gzip', 'br'),
  }),
  headers: fc.record({
    accept: often(JSON_TYPE, '*/*', 'a/b;q=0.1', ';', 'application/json;q=0'),
    repeat: repeat(800),
    trace: fc.boolean(),
  }),
});
