import type { Recipe, Selection, Value } from './recipe.ts';

const MAX_LENGTH = 160;

/** A recipe in one line: `3*` is three times what follows. */
export function describe({
  filler,
  operations,
  fragments,
  nameLength,
  variables,
  representations,
  body,
  headers,
}: Recipe): string {
  const text = [
    operations.repeat === 1 ? '' : `${operations.repeat} operations `,
    `{${operations.selections.map(describeSelection).join(' ')}}`,
    ...fragments.map(
      ({ on, repeat, selections }) =>
        ` ${times(repeat)}fragment on ${on}{${selections.map(describeSelection).join(' ')}}`,
    ),
  ].join('');
  const uses = (part: string): boolean => text.includes(part);
  return [
    cut(text),
    filler.text === '' ? '' : `after ${filler.repeat} ${JSON.stringify(filler.text)}`,
    uses('~') ? `~ of ${nameLength} characters` : '',
    uses('$r')
      ? `r: ${representations.repeat} ${representations.of}, ${Math.min(representations.repeat, representations.distinct)} distinct`
      : '',
    uses('$') && variables.others !== 'right' ? `a variable ${variables.others}` : '',
    uses('$') && variables.withDefaults ? 'defaults' : '',
    body.beside === 'nothing' ? '' : `beside it ${body.repeat} ${body.beside}`,
    body.escaped ? 'escaped' : '',
    body.encoding === 'plain' ? '' : body.encoding,
    headers.repeat > 1 ? `Accept ${headers.repeat}*${headers.accept}` : '',
    headers.trace ? 'ftv1' : '',
  ]
    .filter((part) => part !== '')
    .join('; ');
}

function describeSelection(selection: Selection): string {
  const { repeat, directive } = selection;
  const directives = directive.directives.map((name) => `@${name}`).join('');
  const inner =
    'selections' in selection && selection.selections.length > 0
      ? `{${selection.selections.map(describeSelection).join(' ')}}`
      : '';
  const all = `${directives && `${times(directive.repeat)}${directives}`}${inner}`;
  if (selection.kind === 'spread') return `${times(repeat)}...F${selection.fragment}${all}`;
  if (selection.kind === 'inline') return `${times(repeat)}...${selection.condition}${all}`;
  const given = selection.arguments.map(({ value }) => describeValue(value)).join(',');
  const alias = { none: '', numbered: 'a:', long: '~:' }[selection.alias];
  return `${times(repeat)}${alias}${selection.name}${given && `(${given})`}${all}`;
}

function describeValue(value: Value): string {
  if (value.kind === 'variable') return `$${value.type}`;
  if (value.kind === 'text') return `${times(value.repeat)}${value.text.replaceAll('\n', '\\n')}`;
  const brackets = { list: '[]', object: '{}', nested: '[{}]' }[value.kind];
  return `${times(value.repeat)}${brackets}(${describeValue(value.value)})`;
}

function times(repeat: number): string {
  return repeat === 1 ? '' : `${repeat}*`;
}

function cut(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}
