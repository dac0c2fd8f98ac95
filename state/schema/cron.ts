// When a cron pattern is due, by croner: five fields, or a name such as @daily, read in a time zone that Node's own data know.
// In the hour that a zone has twice a time of day is due once, in the one that it leaves out at its end.
import { Cron } from 'croner';

/** The first time after `after` (ms since 1970) at which it is due; null = there is none. Throws for what is no pattern or zone. */
export function cronAfter(pattern: string, zone: string, after: number): number | null {
  return new Cron(pattern, { timezone: zone, mode: '5-part' }).nextRun(new Date(after))?.getTime() ?? null;
}
