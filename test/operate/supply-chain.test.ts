import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { DockerfileParser, Label } from 'dockerfile-ast';
import { describe, expect, it } from 'vitest';

import { DOCKERFILE } from './dockerfile.ts';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string): string => readFileSync(`${REPOSITORY}${name}`, 'utf8');

interface Package {
  readonly version: string;
  readonly license: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
}
const { packages } = JSON.parse(read('package-lock.json')) as {
  readonly packages: Readonly<Record<string, Package>>;
};
const nameOf = (path: string): string => path.replace(/^.*node_modules\//, '');

/** What `npm ci --omit=dev` installs. */
const production = Object.entries(packages)
  .filter(([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true)
  .map(([path, { version, license }]) => ({ name: nameOf(path), version, license }));

/** What the build says it contains. */
const bundled = [
  ...read('dist/licences.txt').matchAll(/^==== (\S+)@\S+ \((.+)\)\n([^]*?)(?=^====|$(?![^]))/gm),
].map(([, name = '', license = '', notice = '']) => ({ name, license, notice: notice.trim() }));

/** Those that allow everything but to leave out their notice. */
const PERMISSIVE = [
  ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT'],
  '(MIT AND BSD-3-Clause)',
];
/** `docs/licences.md` says why. */
const EXCEPTIONS = ['@apollo/federation-internals'];

/** The names in each row of the table of licences under a heading. */
function documented(heading: string): Record<string, string[]> {
  const section = read('docs/licences.md')
    .split(/^## /m)
    .find((part) => part.startsWith(heading));
  const rows = [...(section ?? '').matchAll(/^\| ([^|]*?) +\| (.*?) +\|$/gm)].slice(1);
  return Object.fromEntries(
    rows
      .filter(([, license]) => !license?.startsWith('-'))
      .map(([, license = '', names = '']) => [
        license,
        [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string),
      ]),
  );
}

/** Names by licence. */
function byLicence(
  found: readonly { readonly name: string; readonly license: string }[],
): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const { name, license } of found) (groups[license] ??= []).push(name);
  return Object.fromEntries(
    Object.entries(groups).map(([license, names]) => [license, [...new Set(names)].sort()]),
  );
}

describe('the licences of production packages', () => {
  it('are permissive, with one exception', () => {
    const others = production.filter(({ license }) => !PERMISSIVE.includes(license));
    expect(others.map(({ name }) => name)).toEqual(EXCEPTIONS);
  });

  it('are those in the documentation', () => {
    const { MIT, ...others } = byLicence(production);
    expect(MIT).toContain('graphql');
    // Too many to name.
    expect(documented('Packages')).toEqual({ ...others, MIT: [] });
  });
});

describe('the build', () => {
  it('contains only production packages, and their notices', () => {
    const names = production.map(({ name }) => name);
    expect(bundled.length).toBeGreaterThan(100);
    expect(bundled.map(({ name }) => name).filter((name) => !names.includes(name))).toEqual([]);
    // These bring none.
    expect(bundled.filter(({ notice }) => notice === '').map(({ name }) => name)).toEqual([
      '@apollo/server',
      '@apollo/usage-reporting-protobuf',
      '@graphql-tools/merge',
      '@graphql-tools/schema',
      '@graphql-tools/utils',
      '@redis/client',
      '@whatwg-node/promise-helpers',
      'abstract-logging',
      'cross-inspect',
    ]);
  });
});

describe('operate/sbom.sh', () => {
  it('lists exactly the packages of a production install', () => {
    const { PATH = '', HOME = '' } = process.env;
    const printed = execFileSync(`${REPOSITORY}operate/sbom.sh`, { env: { PATH, HOME }, encoding: 'utf8' });
    const { bomFormat, metadata, components } = JSON.parse(printed) as {
      readonly bomFormat: string;
      readonly metadata: { readonly component: { readonly type: string; readonly name: string } };
      readonly components: readonly { readonly name: string; readonly version: string }[];
    };
    expect(bomFormat).toBe('CycloneDX');
    expect(metadata.component).toMatchObject({ type: 'application', name: 'onenet-ota-subgraph' });
    const pin = ({ name, version }: { readonly name: string; readonly version: string }) =>
      `${name}@${version}`;
    expect(components.map(pin).sort()).toEqual([...new Set(production.map(pin))].sort());
  }, 120_000);
});

describe('the image', () => {
  it('has the labels of the OCI that do not depend on the build', () => {
    const labels = DockerfileParser.parse(DOCKERFILE)
      .getInstructions()
      .filter((instruction) => instruction instanceof Label)
      .flatMap((label) => label.getProperties())
      .map((property) => [property.getName(), property.getValue()]);
    const { name, description, license } = JSON.parse(read('package.json')) as Record<string, string>;
    expect(Object.fromEntries(labels)).toEqual({
      'org.opencontainers.image.title': name,
      'org.opencontainers.image.description': description,
      'org.opencontainers.image.licenses': license,
    });
  });
});

describe('Renovate', () => {
  it('pins images and actions to digests', () => {
    const { extends: presets } = JSON.parse(read('renovate.json')) as { readonly extends: readonly string[] };
    expect(presets).toEqual(expect.arrayContaining(['docker:pinDigests', 'helpers:pinGitHubActionDigests']));
  });
});
