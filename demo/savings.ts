import { request } from 'undici';

const SAMPLE =
  /^(onenet_ota_pairs_total|onenet_ota_upstream_attempt_duration_seconds_count)\{\w+="([\w-]+)"\} (\d+)$/gm;

/** What replicas have answered from where, and how many calls it cost, by their own metrics. */
export async function readSavings(urls: readonly string[]): Promise<string> {
  const answers = { onenet: 0, in_flight: 0, memory: 0, redis: 0 };
  let calls = 0;
  for (const url of urls) {
    const { body } = await request(new URL('/metrics', url));
    for (const [, name, label, value] of (await body.text()).matchAll(SAMPLE)) {
      if (name === 'onenet_ota_pairs_total') answers[label as keyof typeof answers] += Number(value);
      else calls += Number(value);
    }
  }
  const { onenet, in_flight: inFlight, memory, redis } = answers;
  const saved = inFlight + memory + redis;
  const share = Math.round((100 * saved) / (onenet + saved || 1));
  return (
    `${onenet + saved} tasks and absences answered: ${onenet} by OneNET, ${inFlight} by a call under way, ${memory} from memory, ` +
    `${redis} from Redis. Calls to OneNET: ${calls}; saved: ${saved} (${share} %).`
  );
}
