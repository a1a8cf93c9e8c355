const OTLP_PROTOCOLS = ['http/protobuf', 'http/json'] as const;
export type OtlpProtocol = (typeof OTLP_PROTOCOLS)[number];

/**
 * Decides whether and how spans are exported. Many programs share these variables; the SDK reads the rest of them.
 *
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ for why an empty variable
 * counts as unset.
 */
export function readTracing(env: Readonly<Record<string, string | undefined>>): {
  readonly protocol?: OtlpProtocol | undefined;
  readonly faults: readonly string[];
} {
  const given = (names: readonly string[]) =>
    names.flatMap((name) => (env[name] ? [{ name, value: env[name] }] : []));
  const [disabled] = given(['OTEL_SDK_DISABLED']);
  const [exporter] = given(['OTEL_TRACES_EXPORTER']);
  const endpoints = given(['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT']);
  const [protocol] = given(['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL']);

  const isWanted = exporter === undefined ? endpoints.length > 0 : exporter.value !== 'none';
  if (!isWanted || disabled?.value.toLowerCase() === 'true') return { faults: [] };

  const faults = endpoints
    .filter(({ value }) => !/^https?:\/\//i.test(value) || !URL.canParse(value))
    .map(({ name }) => `${name} must be an http(s) address`);
  if (exporter !== undefined && exporter.value !== 'otlp') {
    faults.push('OTEL_TRACES_EXPORTER must be one of otlp, none');
  }
  const known = OTLP_PROTOCOLS.find((each) => each === (protocol?.value ?? 'http/protobuf'));
  if (known === undefined) faults.push(`${protocol?.name} must be one of ${OTLP_PROTOCOLS.join(', ')}`);
  return { protocol: known, faults };
}
