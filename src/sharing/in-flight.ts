import type { AskOtaTasks, FetchOtaTasks, Origin, OtaTaskCall } from '../ask-ota-tasks.ts';
import { OneNetError } from '../onenet-error.ts';
import type { OtaTaskOutcome, OtaTaskRequest, OtaTaskType } from '../ota-task.ts';
import type { RequestScope, RequestTrace } from '../request-scope.ts';

/** Answered pairs by source, once for each request that asked; failures are not counted. */
export type AnsweredPairs = Record<Origin['source'] | 'in_flight', number>;

export interface InFlightOptions {
  readonly ask: AskOtaTasks;
  /** Whether queued calls are waiting for a turn within the quota rather than for a free place. */
  readonly isOutOfTurns: () => boolean;
  /** Incremented for each answered pair. */
  readonly answered: AnsweredPairs;
}

/** A request that waits for its pairs. */
interface Batch {
  readonly scope: RequestScope;
  /** The call of each requested pair, in order. */
  readonly calls: Call[];
  missing: number;
  readonly resolve: (outcomes: (OtaTaskOutcome | Error)[]) => void;
}

interface Call extends OtaTaskCall {
  isAwaited: boolean;
  trace: RequestTrace | undefined;
  deadlineMs: number;
  /** The waiting batches. The calls of one batch share this set until another batch joins one of them. */
  waiting: Set<Batch>;
  outcome: OtaTaskOutcome | Error | undefined;
  readonly place: Place;
}

/** Where the call of a pair is while it is under way. */
interface Place {
  call: Call | undefined;
}

/**
 * Lets concurrent requests for one pair share one call. Each waits until its own deadline; the call is canceled when
 * nobody waits for it any more.
 */
export function shareInFlight({ ask, isOutOfTurns, answered }: InFlightOptions): FetchOtaTasks {
  // Two levels, because building one key out of type and id would cost as much as everything else here.
  const underWay: Record<OtaTaskType, (key: string) => Place> = {
    FOTA: createPlaces(),
    SOTA: createPlaces(),
  };

  function begin(
    place: Place,
    { deviceId, productId, type, withAddress }: OtaTaskRequest,
    waiting: Set<Batch>,
    scope: RequestScope,
  ): Call {
    const call: Call = {
      deviceId,
      productId,
      type,
      withAddress,
      isAwaited: true,
      scope,
      trace: scope.trace,
      deadlineMs: scope.deadlineMs,
      waiting,
      work: undefined,
      isQueued: false,
      outcome: undefined,
      place,
    };
    place.call = call;
    return call;
  }

  function onOutcome(call: Call, outcome: OtaTaskOutcome | Error, origin?: Origin): void {
    if (!call.isAwaited) return;
    call.isAwaited = false;
    call.outcome = outcome;
    forget(call);
    if (!(outcome instanceof Error)) {
      answered[origin?.source ?? 'onenet']++;
      answered.in_flight += call.waiting.size - 1;
    }
    for (const batch of call.waiting) {
      if (--batch.missing > 0) continue;
      batch.resolve(batch.calls.map((each) => each.outcome as OtaTaskOutcome | Error));
    }
  }

  /** The error for a batch that no longer waits for a call. */
  function endedError(reason: 'deadline' | 'disconnected', call: Call): OneNetError {
    if (reason === 'disconnected') return new OneNetError('canceled');
    return call.isQueued && isOutOfTurns() ? new OneNetError('no-turn') : new OneNetError('timeout');
  }

  /**
   * Resolves a batch with the outcomes so far and errors for the rest, and cancels the calls that nobody else waits
   * for.
   */
  function leave(batch: Batch, reason: 'deadline' | 'disconnected'): void {
    if (batch.missing === 0) return;
    batch.missing = 0;
    const left = batch.calls.filter((call) => call.outcome === undefined);
    batch.resolve(batch.calls.map((call) => call.outcome ?? endedError(reason, call)));
    const unawaited = left.filter((call) => {
      call.waiting.delete(batch);
      return call.waiting.size === 0;
    });
    // All of them before the first is canceled, for the place of that one would go to the next.
    for (const call of unawaited) {
      call.isAwaited = false;
      forget(call);
    }
    for (const call of unawaited) call.work?.cancel(endedError(reason, call));
  }

  return (requests, scope) =>
    new Promise((resolve) => {
      const batch: Batch = { scope, calls: [], missing: requests.length, resolve };
      const alone = new Set([batch]);
      const begun: Call[] = [];
      for (const request of requests) {
        const place = underWay[request.type](deviceKey(request));
        let { call } = place;
        if (call === undefined || (request.withAddress && !call.withAddress)) {
          begun.push((call = begin(place, request, alone, scope)));
        } else {
          join(call, batch);
        }
        batch.calls.push(call);
      }
      const reason = scope.cancelReason();
      if (batch.missing === 0) resolve([]);
      else if (reason !== undefined) leave(batch, reason);
      else {
        scope.onCancel(() => leave(batch, scope.cancelReason() ?? 'disconnected'));
        if (begun.length > 0) ask(begun, onOutcome);
      }
    });
}

function forget(call: Call): void {
  // Another, with the address, may have followed.
  if (call.place.call === call) call.place.call = undefined;
}

/** How many places are kept at least. */
const MIN_PLACES = 2048;

/**
 * Creates the places of pairs by key, and keeps empty ones for a while. Deleting each at its call's end would make V8
 * resize the Map all the time, and each table that it abandons keeps its entries alive until the next full garbage
 * collection: half of what survived a scavenge at 100 devices.
 */
function createPlaces(): (key: string) => Place {
  let places = new Map<string, Place>();
  let maxPlaces = MIN_PLACES;
  return (key) => {
    let place = places.get(key);
    if (place !== undefined) return place;
    if (places.size >= maxPlaces) {
      places = new Map([...places].filter(([, { call }]) => call !== undefined));
      maxPlaces = Math.max(MIN_PLACES, 2 * places.size);
    }
    places.set(key, (place = { call: undefined }));
    return place;
  };
}

/** Equal for equal devices of one product and for no others: no device id holds a colon. */
function deviceKey({ deviceId, productId }: OtaTaskRequest): string {
  return productId === undefined ? deviceId : `${deviceId}:${productId}`;
}

function join(call: Call, batch: Batch): void {
  const { trace, deadlineMs } = batch.scope;
  if (call.waiting.size === 1) call.waiting = new Set(call.waiting);
  call.waiting.add(batch);
  call.deadlineMs = Math.max(call.deadlineMs, deadlineMs);
  if (call.trace === undefined) call.trace = trace;
  else trace?.join(call, call.trace);
}
