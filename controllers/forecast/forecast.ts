// What a document would lead to, without doing it. Pure.
import type { State } from '../../state/store.ts';
import type { SchedulePorts } from '../../state/schedule.ts';
import { describeStep } from './describe-step.ts';
import { scheduledLines } from './scheduled-lines.ts';
import { walk, type Stride, type WalkOptions } from './walk.ts';

export interface ForecastStep {
  readonly op: string;
  readonly name: string;
  /** For a person. */
  readonly text: string;
  /** What keeps it from being done, null when it would be done. */
  readonly waits: string | null;
  /** Bytes that an installation fetches from a server. */
  readonly fetch?: number;
}

export interface ForecastOptions extends Omit<WalkOptions, 'autostart'> {
  /** Bytes that a source takes to fetch; null when it is here, or cannot be reached. */
  fetchOf(source: string): number | null;
  /** When a cron schedule is due first after a time. */
  readonly nextCron: SchedulePorts['nextCron'];
}

/**
 * The steps from a state to the end, in an order in which they can be done; then what cannot be done, and what will be started
 * at its times.
 */
export function forecast(initial: State, options: ForecastOptions): ForecastStep[] {
  const { done, refused, left, views } = walk(initial, { ...options, autostart: false });
  const steps = [...done, ...refused, ...left].map((stride) => lineOf(stride, options));
  return [...steps, ...scheduledLines(views, options.nextCron)];
}

function lineOf({ step, view }: Stride, { fetchOf }: Pick<ForecastOptions, 'fetchOf'>): ForecastStep {
  const fetch = step.op === 'install' ? fetchOf(step.source) : null;
  return {
    op: step.op,
    name: step.name,
    text: describeStep(step, view),
    waits: step.waits,
    ...(fetch !== null && { fetch }),
  };
}
