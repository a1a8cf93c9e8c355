/**
 * The walls of the house (docs/architecture.md): what each room may import, types included.
 *
 * @type {import('dependency-cruiser').IConfiguration}
 */
const DOMAIN = '^src/(ask-ota-tasks|onenet-error|ota-task|request-scope)\\.ts$';

const ROOMS = {
  config: ['^src/onenet/authorization\\.ts$'],
  explorers: ['^src/package-file\\.ts$'],
  graphql: ['^src/__generated__/', '^src/package-file\\.ts$'],
  http: ['^src/graphql/', '^src/explorers/', '^src/observability/'],
  observability: ['^src/config/', '^src/graphql/(error-map|server)\\.ts$', '^src/onenet/observer\\.ts$'],
  onenet: [],
  sharing: [],
  simulator: [],
};

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'domain-imports-only-itself',
      severity: 'error',
      from: { path: DOMAIN },
      to: { pathNot: DOMAIN },
    },
    ...Object.entries(ROOMS).map(([room, others]) => ({
      name: `walls-of-${room}`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: '^src/', pathNot: [`^src/${room}/`, room === 'simulator' ? '^$' : DOMAIN, ...others] },
    })),
    {
      name: 'graphql-knows-no-http',
      severity: 'error',
      from: { path: '^src/graphql/' },
      to: { path: '^(node:)?(http|https|net|zlib)$|node_modules/(fastify|undici)/' },
    },
    {
      name: 'onenet-knows-no-graphql',
      severity: 'error',
      from: { path: '^src/(onenet|sharing)/' },
      to: { path: 'node_modules/(graphql|@apollo|fastify)/' },
    },
    {
      name: 'simulator-is-for-demo-and-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/simulator/' },
      to: { path: '^src/simulator/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
  },
};
