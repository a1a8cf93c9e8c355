import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import { build } from 'esbuild';

import { BUILD_OPTIONS } from './src/explorers/graphiql.ts';

/** What packages in CommonJS refer to; the bundle is an ES module, which lacks it. */
const COMMONJS = `import * as __module from 'node:module';
import * as __path from 'node:path';
import * as __url from 'node:url';
const require = __module.createRequire(import.meta.url);
const __filename = __url.fileURLToPath(import.meta.url);
const __dirname = __path.dirname(__filename);`;

// A few files in place of more than a thousand, because finding and reading those took most of the start.
// Those of an earlier build stay, because a running service may still have to load one.
const { metafile } = await build({
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  bundle: true,
  // What is imported on demand gets a file of its own.
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  banner: { js: COMMONJS },
  metafile: true,
  logLevel: 'warning',
});
writeFileSync('dist/graphiql.html', renderGraphiQL(BUILD_OPTIONS));
writeFileSync(
  'dist/licences.txt',
  noticesOf([...Object.keys(metafile.inputs), 'node_modules/@graphql-yoga/render-graphiql/']),
);

/** The notices of the packages that files belong to, each once. */
function noticesOf(files: readonly string[]): string {
  const folders = new Set(files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []));
  return `${[...new Set([...folders].map(noticeOf))].sort().join('\n\n')}\n`;
}

/** A heading and the texts that a package's licence wants to go along with its code. */
function noticeOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as Record<
    string,
    string
  >;
  const texts = readdirSync(folder)
    .filter((file) => /^(?:licen[cs]e|notice)/i.test(file))
    .map((file) => readFileSync(`${folder}/${file}`, 'utf8').trim());
  return [`==== ${name}@${version} (${license})`, ...texts].join('\n\n');
}
