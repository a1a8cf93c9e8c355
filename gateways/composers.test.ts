import { Kind, parse } from 'graphql';
import { describe, expect, it } from 'vitest';

import { SUBGRAPHS } from './company.ts';
import { COMPOSERS } from './composers.ts';

describe.each(Object.entries(COMPOSERS))('%s', (_, compose) => {
  const { sdl, errors, hints } = compose(SUBGRAPHS);

  it('composes the schema with the owner of the devices', () => {
    expect(errors).toEqual([]);
    expect(fieldsOf('Device', sdl)).toEqual(['id', 'model', 'name', 'otaTask', 'otaTaskResult']);
    expect(fieldsOf('OtaTaskAbsent', sdl)).toEqual(['errno', 'reason']);
  });

  it('hints at most that the descriptions of Device and of its id differ', () => {
    for (const hint of hints) {
      expect(hint).toMatch(/^Element "Device(\.id)?" has inconsistent descriptions across subgraphs/);
    }
  });

  it('refuses a schema that does not compose', () => {
    const broken = SUBGRAPHS.map((subgraph) => ({
      ...subgraph,
      sdl: subgraph.sdl.replace(/(type Device @key\(fields: )"id"/, '$1"serial"'),
    }));
    expect(compose(broken).errors).not.toEqual([]);
  });
});

function fieldsOf(type: string, sdl: string): string[] {
  return parse(sdl).definitions.flatMap((definition) =>
    definition.kind === Kind.OBJECT_TYPE_DEFINITION && definition.name.value === type
      ? (definition.fields ?? []).map(({ name }) => name.value).sort()
      : [],
  );
}
