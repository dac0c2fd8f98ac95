// When a container is started again and again, as a document says it.
import { z } from 'zod';
import { messageOf } from '../errno.ts';
import type { Schedule } from '../schedule.ts';
import { isZone } from '../trial/gates.ts';
import { cronAfter } from './cron.ts';
import { durationPattern, parseDuration } from './units.ts';

const longest = 366 * 86_400_000;

const span = (least: number) =>
  z
    .string()
    .regex(durationPattern, { error: 'a duration is a number with ms, s, m, h or d, such as 15m' })
    .transform((given, context) => {
      const ms = parseDuration(given) ?? 0;
      const isGood = ms >= least && ms <= longest;
      if (!isGood) context.addIssue({ code: 'custom', message: `from ${least}ms to 366d` });
      return ms;
    });

/** A zone by which nothing can be read is refused where it stands, a pattern that is never due where that does. */
export const scheduleSchema = z
  .strictObject({
    every: span(1000).optional(),
    cron: z.string().max(256).optional(),
    zone: z.string().max(64).optional(),
    jitter: span(0).optional(),
    missed: z.enum(['run', 'skip']).default('run'),
  })
  .transform((given, context): Schedule => {
    const { every, cron, zone, jitter = 0, missed } = given;
    const wrong = (path: string[], message: string): typeof z.NEVER => {
      context.addIssue({ code: 'custom', path, message });
      return z.NEVER;
    };
    if (every === undefined && cron === undefined) return wrong([], 'every or cron is expected');
    if (every !== undefined) {
      if (cron !== undefined) return wrong(['cron'], 'every or cron is expected, not both');
      if (zone !== undefined) return wrong(['zone'], 'a zone is for cron: every counts on the clock of the boot');
      if (jitter > every) return wrong(['jitter'], 'jitter must not be longer than every');
      return { kind: 'every', every, jitter, missed };
    }
    const pattern = cron ?? '';
    const place = zone ?? 'UTC';
    if (!isZone(place)) return wrong(['zone'], `${place} is no time zone: a name such as Europe/Berlin is expected`);
    try {
      if (cronAfter(pattern, place, Date.now()) === null)
        return wrong(['cron'], `${pattern} is never due: there is no such date`);
    } catch (error) {
      return wrong(['cron'], messageOf(error).replace(/^CronPattern: /, ''));
    }
    return { kind: 'cron', cron: pattern, zone: place, jitter, missed };
  });
