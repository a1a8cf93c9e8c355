import { parser } from '@prometheus-io/lezer-promql';

interface Selector {
  readonly metric: string;
  /** The label and value of each matcher, and of each alternative of a regular expression. */
  readonly matchers: readonly (readonly [label: string, value: string])[];
}

export interface Query {
  readonly selectors: readonly Selector[];
  /** Metrics whose rate or increase is computed. */
  readonly counters: readonly string[];
  /** Labels by which the result is grouped. */
  readonly groupedBy: readonly string[];
}

/**
 * Extracts what a PromQL expression queries, using Prometheus' own grammar.
 *
 * @throws Error if it is not valid PromQL.
 */
export function parsePromQL(expression: string): Query {
  const selectors: { metric: string; matchers: [string, string][] }[] = [];
  const counters: string[] = [];
  const groupedBy: string[] = [];
  parser.parse(expression).iterate({
    enter({ type, from, to, node }) {
      const text = expression.slice(from, to);
      if (type.isError) throw new Error(`no PromQL at ${from}: ${expression}`);
      if (type.name === 'VectorSelector')
        selectors.push({ metric: /^\w+/.exec(text)?.[0] ?? '', matchers: [] });
      if (type.name === 'UnquotedLabelMatcher') {
        const [, label = '', values = ''] = /^(\w+)\s*[=!~]+\s*"(.*)"$/.exec(text) ?? [];
        for (const value of values.split('|')) selectors.at(-1)?.matchers.push([label, value]);
      }
      if (type.name === 'LabelName' && node.parent?.name === 'GroupingLabels') groupedBy.push(text);
      if (type.name === 'FunctionCall') counters.push(/^(?:rate|increase)\(\s*(\w+)/.exec(text)?.[1] ?? '');
    },
  });
  return { selectors, counters: counters.filter((name) => name !== ''), groupedBy };
}
