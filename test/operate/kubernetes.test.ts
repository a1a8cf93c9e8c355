import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Deployment } from 'kubernetes-models/apps/v1';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { Service } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';

import { readConfig } from '../../src/config/config.ts';
import { DRAIN_MARGIN_MS } from '../../src/http/server.ts';
import { type Environment, launch, post, startOnce } from '../service.ts';

const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

const KINDS = [Deployment, Service, PodDisruptionBudget, NetworkPolicy, HorizontalPodAutoscaler];

const FILES = ['operate/kubernetes.yaml', 'operate/kubernetes-hpa.yaml'];
const manifests = FILES.flatMap((file) => parseAllDocuments(read(file))).map((document) => {
  expect(document.errors).toEqual([]);
  return document.toJS();
});
const ofKind = (kind: string) => manifests.find((manifest) => manifest.kind === kind);

const deployment = ofKind('Deployment');
const pod = deployment.spec.template;
const [container] = pod.spec.containers;
const [port] = container.ports;

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly secretKeyRef: { readonly name: string; readonly key: string; readonly optional?: boolean };
  };
}
const variables = container.env as readonly Variable[];
const secrets = variables.filter(({ value }) => value === undefined);

const plain: Environment = Object.fromEntries(
  variables.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
);
/** The environment of the container, with what the Secret could hold. */
const environment: Environment = {
  ...plain,
  ONENET_PRODUCT_ID: 'product',
  ONENET_ACCESS_KEY: 'YWNjZXNz',
  ROUTER_SECRET: 'a-secret-of-the-router',
};

/** The other choice of credentials. */
const NO_PRODUCT = { ONENET_PRODUCT_ID: undefined, ONENET_ACCESS_KEY: undefined };
const PRODUCTS_FILE = join(mkdtempSync(join(tmpdir(), 'products-')), 'products.json');
writeFileSync(PRODUCTS_FILE, '{"product":"YWNjZXNz"}');

/** The fields that are read of a value, and those that are there, as paths. */
function observe(
  value: unknown,
  path = '',
  seen = new Set<string>(),
): { observed: unknown; seen: Set<string> } {
  if (typeof value !== 'object' || value === null) return { observed: value, seen };
  const observed = new Proxy(value, {
    get(target, name, receiver) {
      const field: unknown = Reflect.get(target, name, receiver);
      if (typeof name !== 'string' || !Object.hasOwn(target, name)) return field;
      seen.add(`${path}/${name}`);
      return observe(field, `${path}/${name}`, seen).observed;
    },
  });
  return { observed, seen };
}

function fieldsOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, field]) => [
    `${path}/${name}`,
    ...fieldsOf(field, `${path}/${name}`),
  ]);
}

function namesReadByTheService(): Set<string> {
  const names = new Set<string>();
  readConfig(
    new Proxy(environment, {
      get(target, name) {
        names.add(String(name));
        return Reflect.get(target, name) as unknown;
      },
    }),
  );
  return names;
}

describe('the manifests', () => {
  it.each(manifests.map((manifest) => [manifest.kind, manifest]))(
    'match the schemas of Kubernetes: %s',
    (_, manifest) => {
      const model = KINDS.find(
        ({ apiVersion, kind }) => apiVersion === manifest.apiVersion && kind === manifest.kind,
      );
      const { observed, seen } = observe(manifest);
      expect(() => model?.prototype.validate.call(observed as never)).not.toThrow();
      // The schemas allow unknown fields, which the API server drops. So a misspelt field is one that the schema does
      // not read.
      expect(fieldsOf(manifest).filter((field) => !seen.has(field))).toEqual([]);
    },
  );

  it('select the pods of the deployment', () => {
    const { labels } = pod.metadata;
    expect(deployment.spec.selector.matchLabels).toEqual(labels);
    expect(ofKind('Service').spec.selector).toEqual(labels);
    expect(ofKind('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
    expect(ofKind('NetworkPolicy').spec.podSelector.matchLabels).toEqual(labels);
    expect(pod.spec.topologySpreadConstraints[0].labelSelector.matchLabels).toEqual(labels);
  });

  it('use the image of this version', () => {
    const { name, version } = JSON.parse(read('package.json')) as { name: string; version: string };
    expect(container.image).toBe(`${name}:${version}`);
  });

  it('keep instances running while others are replaced or moved', () => {
    const { replicas, strategy } = deployment.spec;
    expect(replicas).toBeGreaterThanOrEqual(2);
    expect(strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
    expect(ofKind('PodDisruptionBudget').spec.maxUnavailable).toBeLessThan(replicas);
  });

  it('route to the port on which the image listens', () => {
    expect(String(port.containerPort)).toBe(/^ENV.* PORT=(\d+)/m.exec(read('Dockerfile'))?.[1]);
    expect(pod.metadata.annotations['prometheus.io/port']).toBe(String(port.containerPort));
    expect(ofKind('Service').spec.ports[0].targetPort).toBe(port.name);
    expect(ofKind('NetworkPolicy').spec.ingress[0].ports).toEqual([{ port: port.name }]);
  });

  it('allow the service to reach OneNET', () => {
    const { protocol } = new URL(readConfig(environment).onenetOrigin);
    expect(protocol).toBe('https:');
    expect(ofKind('NetworkPolicy').spec.egress[0].ports).toContainEqual({ port: 443 });
  });

  it('let the service out to Redis, at the port of the address in the documentation', () => {
    const [, redisUrl = ''] = /REDIS_URL=(redis:\S+?)`/.exec(read('docs/operations.md')) ?? [];
    const { to, ports } = ofKind('NetworkPolicy').spec.egress[1];
    expect(to).toEqual([{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'redis' } } }]);
    expect(ports).toEqual([{ port: Number(new URL(redisUrl).port) }]);
  });

  it('mount the products file as a folder, so that a change of the Secret arrives', () => {
    const [mount] = container.volumeMounts;
    expect(mount).toEqual({ name: 'products', mountPath: '/etc/onenet-ota', readOnly: true });
    const { secret } = pod.spec.volumes.find(({ name }: { name: string }) => name === mount.name);
    expect(secret.optional).toBe(true);
    expect(read('docs/operations.md')).toContain(`ONENET_PRODUCTS_FILE=${mount.mountPath}/products.json`);
    expect(read('operate/kubernetes.yaml')).toContain(`${secret.secretName} --from-file=products.json`);
  });

  it('scale by CPU alone, within what one event loop can use, and never below what is deployed', () => {
    const { scaleTargetRef, metrics, minReplicas } = ofKind('HorizontalPodAutoscaler').spec;
    const { apiVersion, kind, metadata } = deployment;
    expect(scaleTargetRef).toEqual({ apiVersion, kind, name: metadata.name });
    expect(minReplicas).toBeGreaterThanOrEqual(deployment.spec.replicas);
    const target = { type: 'AverageValue', averageValue: expect.stringMatching(/^[1-9]\d{2}m$/) };
    expect(metrics).toEqual([{ type: 'Resource', resource: { name: 'cpu', target } }]);
  });

  it('grant the pod nothing that it does not need', () => {
    expect(pod.spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });
});

describe('the environment of the container', () => {
  it.each([
    ['one product', {}],
    ['Redis', { REDIS_URL: 'redis://:password@redis:6379' }],
    ['several products', { ...NO_PRODUCT, ONENET_PRODUCTS_FILE: PRODUCTS_FILE }],
  ])('is a configuration without fault, whatever the Secret decides: %s', (_, secret) => {
    expect(() => readConfig({ ...environment, ...secret })).not.toThrow();
    const names = new Set(secrets.map(({ name }) => name));
    for (const name of Object.keys(secret)) expect(names).toContain(name);
  });

  it('may be completed by a ConfigMap', () => {
    expect(container.envFrom).toEqual([{ configMapRef: { name: 'onenet-ota', optional: true } }]);
    const literals = [...read('operate/kubernetes.yaml').matchAll(/--from-literal=(\w+)=(\S+)/g)];
    const settings = Object.fromEntries(literals.map(([, name, value]) => [name, value]));
    expect(readConfig({ ...environment, ...settings })).toMatchObject({
      cacheTtlMs: 10_000,
      callsPerSecond: 300,
    });
  });

  it('contains only variables that the service reads', () => {
    const names = namesReadByTheService();
    expect(variables.map(({ name }) => name).filter((name) => !names.has(name))).toEqual([]);
  });

  it('takes secrets from the Secret, each under the name of its variable', () => {
    expect(secrets.map(({ name }) => name).toSorted()).toEqual([
      'ONENET_ACCESS_KEY',
      'ONENET_PRODUCTS_FILE',
      'ONENET_PRODUCT_ID',
      'REDIS_URL',
      'ROUTER_SECRET',
    ]);
    for (const { name, valueFrom } of secrets) {
      expect(valueFrom?.secretKeyRef).toMatchObject({ name: 'onenet-ota', key: name });
      // A pod without the router's secret must not even start; of the others the service itself says what is missing.
      expect(valueFrom?.secretKeyRef.optional).toBe(name === 'ROUTER_SECRET' ? undefined : true);
    }
    expect(ofKind('Secret')).toBeUndefined();
  });

  it('does not let other Kubernetes services change the configuration', () => {
    expect(pod.spec.enableServiceLinks).toBe(false);
  });
});

describe('the end of a pod', () => {
  it('leaves enough time to drain and to exit', () => {
    const { drainDelayMs, requestTimeoutMs } = readConfig(environment);
    const hookMs = container.lifecycle.preStop.sleep.seconds * 1000;
    const mostMs = hookMs + drainDelayMs + requestTimeoutMs + DRAIN_MARGIN_MS;
    expect(pod.spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(mostMs);
  });

  it('is announced by the readiness probe before the listener closes', () => {
    const { periodSeconds, failureThreshold } = container.readinessProbe;
    expect(readConfig(environment).drainDelayMs).toBeGreaterThanOrEqual(
      periodSeconds * failureThreshold * 1000,
    );
  });
});

describe('a running container', () => {
  const url = startOnce((until) => launch({ ...environment, PORT: '0' }, until).listening);

  it.each(['startupProbe', 'livenessProbe', 'readinessProbe'])('passes its %s', async (probe) => {
    const { httpGet } = container[probe];
    expect(httpGet.port).toBe(port.name);
    expect((await fetch(new URL(httpGet.path, url()))).status).toBe(200);
  });

  it('is not ready, but alive, while it drains', async () => {
    const { child, listening } = launch({ ...environment, PORT: '0' });
    const url = await listening;
    const statusOf = async (probe: string): Promise<number> =>
      (await fetch(new URL(container[probe].httpGet.path, url))).status;
    child.kill('SIGTERM');
    await expect.poll(() => statusOf('readinessProbe')).toBe(503);
    expect(await statusOf('livenessProbe')).toBe(200);
    const answer = await post(
      url,
      '{ __typename }',
      {},
      {
        'router-authorization': environment['ROUTER_SECRET'] as string,
      },
    );
    expect(answer.status).toBe(200);
  });

  it('serves its metrics where the annotations say', async () => {
    const metrics = await fetch(new URL(pod.metadata.annotations['prometheus.io/path'], url()));
    expect(await metrics.text()).toContain('onenet_ota_');
  });
});
