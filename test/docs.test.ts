import { readFileSync } from 'node:fs';

import { request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import { startDemo } from '../demo/demo.ts';
import { readConfig } from '../src/config/config.ts';
import { scrape } from './metrics-text.ts';
import { post, startBoth } from './service.ts';

const read = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

const README = read('README.md');

/** The names in backquotes in the first column of a page's tables. */
function inFirstColumns(page: string, pattern: RegExp): Set<string> {
  const cells = [...page.matchAll(/^\| ([^|]*)\|/gm)].map(([, cell]) => cell as string);
  const names = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string));
  return new Set(names.filter((name) => pattern.test(name)));
}

/** The text under a second-level heading. */
function section(page: string, heading: string): string {
  return page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) as string;
}

/** The first code block in a language. */
function block(page: string, language: string): string {
  const [, code] = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'm').exec(page) ?? [];
  return code as string;
}

/** The demo uses any free ports. */
const withoutPorts = (text: string): string => text.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1');

describe('the README', () => {
  it('can be read in a few minutes', () => {
    expect(README.trimEnd().split('\n').length).toBeLessThanOrEqual(150);
  });

  it("shows a query with the demo's answer, and what the demo prints", async () => {
    const demo = await startDemo();
    onTestFinished(() => demo.close());
    const printed = withoutPorts(demo.announcement).split('\n');
    for (const line of withoutPorts(block(README, 'text')).trimEnd().split('\n')) {
      expect(printed).toContain(line);
    }
    const url = /The supergraph\s+(\S+)/.exec(demo.announcement)?.[1] as string;
    const { text } = await post(url, block(README, 'graphql'));
    expect(JSON.parse(withoutPorts(text))).toEqual(JSON.parse(withoutPorts(block(README, 'json'))));
  }, 30_000);
});

describe('the documentation', () => {
  it('lists exactly the variables that the service reads', () => {
    const variables = new Set<string>();
    const environment = new Proxy<Record<string, undefined>>(
      {},
      { get: (_, name) => void variables.add(String(name)) },
    );
    expect(() => readConfig(environment)).toThrow('invalid configuration');
    // Read by a library, not by our own code.
    variables.delete('NODE_ENV');
    expect(inFirstColumns(read('docs/configuration.md'), /^[A-Z_]+$/)).toEqual(variables);
    expect([...variables]).toEqual(
      expect.arrayContaining([...inFirstColumns(section(README, 'Configuration'), /./)]),
    );
  });

  it('lists the error codes that the service returns', async () => {
    const codes = (await scrape(await startBoth()))
      .filter(({ name }) => name === 'onenet_ota_errors_total')
      .map(({ labels }) => labels['code'] as string);
    expect(codes).toEqual(expect.arrayContaining([...inFirstColumns(section(README, 'Errors'), /./)]));
    const errors = read('docs/errors.md');
    for (const code of codes) expect(errors).toContain(`\`${code}\``);
  });

  it('names the metrics that the service has, and no others', async () => {
    // Nobody listens there: the metric about Redis is there all the same.
    const { url } = await startBoth({}, { REDIS_URL: 'redis://127.0.0.1:1' });
    const { body } = await request(new URL('/metrics', url));
    const metrics = [...(await body.text()).matchAll(/^# TYPE (onenet_ota_\S+)/gm)].map(([, name]) => name);
    expect(inFirstColumns(read('docs/operations.md'), /^onenet_ota_/)).toEqual(new Set(metrics));
  });
});
