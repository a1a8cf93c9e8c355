import { describe, expect, it } from 'vitest';

import { devices, post, startBoth } from '../service.ts';

const inEntities = (selection: string): string =>
  `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { ${selection} } } }`;
const aliases = (count: number): string => Array.from({ length: count }, (_, i) => `a${i}: id`).join(' ');
/** Nested selection sets, three of which are part of the operation itself. */
const nested = (depth: number): string => `${'... { '.repeat(depth - 3)} id ${'} '.repeat(depth - 3)}`;
const directives = (count: number): string =>
  Array.from({ length: count }, () => 'id @include(if: true)').join(' ');

describe('a document', () => {
  it.each([
    ['200 aliases', aliases(200)],
    ['selection sets twenty deep', nested(20)],
    ['200 directives', directives(200)],
  ])('may have %s', async (_, selection) => {
    const { url } = await startBoth();
    const { status, body } = await post(url, inEntities(selection), { r: devices('d1') });
    expect([status, body.errors]).toEqual([200, undefined]);
  });

  it.each([
    ['201 aliases', aliases(201), 'aliases'],
    ['selection sets twenty-one deep', nested(21), 'selection sets'],
    ['201 directives', directives(201), 'directives'],
  ])('must not have %s', async (_, selection, what) => {
    const { url } = await startBoth();
    const { status, body } = await post(url, inEntities(selection), { r: devices('d1') });
    expect(status).toBe(400);
    expect(body.errors).toHaveLength(1);
    expect(body.errors[0]).toMatchObject({
      message: expect.stringContaining(what),
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
    });
  });
});
