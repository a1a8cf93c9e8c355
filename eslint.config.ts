import importX, { createNodeResolver } from 'eslint-plugin-import-x';
import { type Config, defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Forbids imports between rooms: `from` may not import what `target` patterns name, but for what `except` names. */
function wall(from: string, patterns: string[], message: string): Config {
  return {
    files: [from],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ group: patterns, message }] }] },
  };
}

const COMPOSITION_ROOT = ['**/app.ts', '**/main.ts'];
const SIMULATOR = ['**/simulator/**'];
const TRACING = ['**/tracing/**', '@opentelemetry/*'];

export default defineConfig(
  // The servers of the benchmark have a package, and so a check, of their own.
  globalIgnores(['**/dist/', 'bench/servers/', 'src/__generated__/', 'gateways/', 'routers/']),
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts', '.js'] })] },
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      'import-x/no-cycle': 'error',
      'no-restricted-syntax': ['error', { selector: 'ExportAllDeclaration', message: 'No barrels.' }],
      'import-x/no-default-export': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // Its advice, `!`, is what another rule of the same set forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // A resolver or hook is async by contract even where it awaits nothing.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
    },
  },
  {
    // Tests read answers as they come, whatever their type.
    files: ['test/**'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  { files: ['*.config.ts', 'codegen.ts', 'test/build.ts'], rules: { 'import-x/no-default-export': 'off' } },

  // The house: a request walks http -> graphql -> onenet, and the domain file is all that they share.
  wall('src/*.ts', SIMULATOR, 'The simulator is for the demo and the tests.'),
  wall('src/ota-task.ts', ['*'], 'The domain imports nothing.'),
  wall('src/config.ts', ['./app.ts', './main.ts', ...SIMULATOR], 'Nobody imports the composition root.'),
  wall(
    'src/onenet/**',
    [
      ...COMPOSITION_ROOT,
      ...SIMULATOR,
      ...TRACING,
      '**/graphql/**',
      '**/http/**',
      '**/config.ts',
      'graphql',
      '@apollo/*',
    ],
    'onenet/ speaks HTTP and imports only the domain.',
  ),
  wall(
    'src/graphql/**',
    [
      ...COMPOSITION_ROOT,
      ...SIMULATOR,
      ...TRACING,
      '**/onenet/**',
      '**/http/**',
      '**/config.ts',
      'undici',
      'fastify',
    ],
    'graphql/ imports only the domain.',
  ),
  wall(
    'src/graphql/error-map.ts',
    [
      ...COMPOSITION_ROOT,
      ...SIMULATOR,
      ...TRACING,
      '**/onenet/**',
      '!**/onenet/errors.ts',
      '**/http/**',
      '**/config.ts',
    ],
    'The error map knows the domain and the errors of onenet/.',
  ),
  wall(
    'src/http/**',
    [...COMPOSITION_ROOT, ...SIMULATOR, '**/onenet/**', '**/config.ts', 'undici'],
    'http/ is the web server around graphql/.',
  ),
  wall(
    'src/tracing/**',
    [...COMPOSITION_ROOT, ...SIMULATOR, '**/onenet/**', '**/graphql/**', '**/http/**', '**/config.ts'],
    'tracing/ makes spans of what the domain tells it.',
  ),
  wall(
    'src/simulator/**',
    [...COMPOSITION_ROOT, '**/onenet/**', '**/graphql/**', '**/http/**', '**/config.ts'],
    'The simulator proves the rest of the program only while it shares nothing with it.',
  ),
);
