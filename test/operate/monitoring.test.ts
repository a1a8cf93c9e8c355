import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';

import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';

import { faultByName } from '../fault-by-name.ts';
import { type Sample, scrape, valueOf } from '../metrics-text.ts';
import { SELF_SIGNED } from '../onenet/self-signed.ts';
import {
  askEntities,
  devices,
  entitiesQuery,
  launch,
  post,
  startBoth,
  startOnce,
  startService,
  type Until,
} from '../service.ts';
import { parsePromQL, type Query } from './promql.ts';

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly type: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const read = (name: string): string =>
  readFileSync(new URL(`../../operate/${name}`, import.meta.url), 'utf8');
const dashboard = JSON.parse(read('grafana-dashboard.json')) as Dashboard;
const { groups } = parse(read('alerts.yaml')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);
/** As Grafana would send it. */
const sent = (expression: string): string =>
  expression.replaceAll('$__rate_interval', '5m').replaceAll('$quota', '300');
const panelQueries = targets.map(({ expr }) => parsePromQL(sent(expr)));
const ruleQueries = rules.map(({ expr }) => parsePromQL(expr));

/** Labels that Prometheus itself adds to every sample. */
const TARGET_LABELS: readonly string[] = ['job', 'instance'];

/** Nobody listens there: the metric about Redis is there all the same. */
const NO_REDIS = 'redis://127.0.0.1:1';

const WAIT = { timeout: 5000 };

/** The metrics of services that have met everything that can happen to a call. */
async function samplesAfterTraffic(until: Until): Promise<Sample[]> {
  const field = 'otaTask(type: FOTA) { size }';
  const service = await startBoth(
    { fault: faultByName },
    { ONENET_TIMEOUT_MS: '1000', REDIS_URL: NO_REDIS },
    until,
  );
  const statuses = ['401', '408', '429', '500', '302'].map((status) => `status-${status}`);
  const ids = ['d1', 'errno-4', 'errno-2', 'errno-7', 'stall-1', 'reset-1', ...statuses];
  await askEntities(service, field, devices(...ids));
  await askEntities(service, field, devices('d1'));
  await post(service.url, '{');
  const client = new AbortController();
  const left = fetch(service.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      query: entitiesQuery(field),
      variables: { representations: devices('stall-2') },
    }),
    signal: client.signal,
  });
  await vi.waitFor(() => expect(service.onenet.calls.at(-1)?.deviceId).toBe('stall-2'), WAIT);
  client.abort();
  await expect(left).rejects.toThrow();
  const aborted = { outcome: 'aborted' };
  await vi.waitFor(async () => {
    const count = valueOf(await scrape(service), 'onenet_ota_request_duration_seconds_count', aborted);
    expect(count).toBe(1);
  }, WAIT);

  const impostor = createServer(SELF_SIGNED).listen(0, '127.0.0.1');
  until(() => void impostor.close());
  await once(impostor, 'listening');
  const misled = await startService(
    `https://127.0.0.1:${(impostor.address() as AddressInfo).port}`,
    {},
    until,
  );
  await askEntities(misled, field, devices('d1'));

  const { listening } = launch({ PORT: '0', ONENET_AUTHORIZATION: 'et=1900000000' }, until);
  const scrapes = [service, misled, { url: await listening }].map((each) => scrape(each));
  return (await Promise.all(scrapes)).flat();
}

const samples = startOnce(samplesAfterTraffic);

/** Everything that a query expects of the samples and does not find. */
function missingIn(samples: readonly Sample[], { selectors, groupedBy }: Query): string[] {
  const found = selectors.flatMap(({ metric }) => samples.filter(({ name }) => name === metric));
  const labels = new Set([...found.flatMap((sample) => Object.keys(sample.labels)), ...TARGET_LABELS]);
  return [
    ...selectors.map(({ metric }) => metric).filter((metric) => !samples.some(({ name }) => name === metric)),
    ...groupedBy.filter((label) => !labels.has(label)),
    ...selectors.flatMap(({ metric, matchers }) =>
      matchers
        .filter(([label]) => !TARGET_LABELS.includes(label))
        .filter(([label, value]) => !found.some((s) => s.name === metric && s.labels[label] === value))
        .map(([label, value]) => `${metric}{${label}="${value}"}`),
    ),
  ];
}

describe('the dashboard', () => {
  it('queries only what the service exposes', () => {
    expect(panelQueries.length).toBeGreaterThan(10);
    expect(panelQueries.flatMap((query) => missingIn(samples(), query))).toEqual([]);
  });

  it('shows every metric that the service defines', () => {
    const asked = new Set(panelQueries.flatMap(({ selectors }) => selectors.map(({ metric }) => metric)));
    const family = (name: string): string => name.replace(/_(?:bucket|count|sum)$/, '');
    const shown = new Set([...asked].map(family));
    const names = samples().map(({ name }) => family(name));
    const own = new Set(names.filter((name) => name.startsWith('onenet_ota_')));
    expect([...own].filter((name) => !shown.has(name))).toEqual([]);
  });

  it.each(targets.map(({ expr, legendFormat }) => [legendFormat, expr] as const))(
    'uses in a legend only labels that its query keeps: %s',
    (legend, expr) => {
      const { groupedBy } = parsePromQL(sent(expr));
      const kept = /^(?:sum|min|max|histogram_quantile)\b/.test(expr) ? groupedBy : TARGET_LABELS;
      for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) expect(kept).toContain(label);
    },
  );

  it('queries only the selected jobs', () => {
    for (const { selectors } of panelQueries) {
      for (const { metric, matchers } of selectors) expect(matchers, metric).toContainEqual(['job', '$job']);
    }
  });
});

describe('the alerts', () => {
  it('are five, each with a name of its own, how bad it is and what to do', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(5);
    expect(rules).toHaveLength(5);
    for (const { labels, annotations } of rules) {
      expect(['critical', 'warning']).toContain(labels['severity']);
      expect(Object.keys(annotations)).toEqual(['summary', 'description']);
    }
  });

  it('query only what the service exposes', () => {
    expect(ruleQueries.flatMap((query) => missingIn(samples(), query))).toEqual([]);
  });

  it('name the job they are about', () => {
    for (const { groupedBy } of ruleQueries) expect(new Set(groupedBy)).toEqual(new Set(['job']));
  });
});

describe('a rate', () => {
  it('is computed only for counters', () => {
    const rated = [...panelQueries, ...ruleQueries].flatMap(({ counters }) => counters);
    expect(rated.length).toBeGreaterThan(10);
    for (const name of rated) expect(name).toMatch(/_(?:total|count|bucket)$/);
  });
});
