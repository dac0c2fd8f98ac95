// Gates: what must hold before what is staged comes into force. Pure: what they ask of the host is given to them.

/** A time of day, in minutes from midnight. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** All of what it says must hold at once. */
export interface Gate {
  /** A path that must be there; null = none is asked for, as of the others. */
  readonly exists: string | null;
  /** A path that must not be there. */
  readonly absent: string | null;
  /** A time of day, which may go past midnight. */
  readonly between: Window | null;
  /** Of `between`: a name of the IANA database. */
  readonly zone: string;
  /** A program of the host and its arguments: exit status 0 opens. */
  readonly exec: readonly string[] | null;
  /** How long the program may take; ms. */
  readonly timeout: number;
  /** How often it is asked again while it says no; ms. */
  readonly every: number;
}

/** `HH:MM-HH:MM`; null when it is none, or has no minute in it. */
export function parseWindow(text: string): Window | null {
  const found = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$/.exec(text);
  if (found === null) return null;
  const [hour = 0, minute = 0, endHour = 0, endMinute = 0] = found.slice(1).map(Number);
  const [from, to] = [hour * 60 + minute, endHour * 60 + endMinute];
  return to > 1440 || from === to ? null : { from, to };
}

/** Whether a text names a zone of the IANA database that this runtime knows. */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** Before that the clock has not been set. */
const earliest = Date.UTC(2020, 0, 1);

/** Whether a moment (ms since the epoch) lies in a time of day; if not, after how many ms to look again (null: when the clock is set). */
export function judgeWindow(
  { from, to }: Window,
  zone: string,
  moment: number,
): { readonly open: true } | { readonly open: false; readonly again: number | null } {
  if (moment < earliest) return { open: false, again: null };
  const parts = new Intl.DateTimeFormat('en-GB', {
    ...{ timeZone: zone, hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  }).formatToParts(moment);
  const [hour = 0, minute = 0, second = 0] = (['hour', 'minute', 'second'] as const).map((type) =>
    Number(parts.find((part) => part.type === type)?.value),
  );
  const now = hour * 60 + minute;
  const isIn = from < to ? now >= from && now < to : now >= from || now < to;
  if (isIn) return { open: true };
  // On the day on which the clocks are changed that is an hour off: it is then looked at again.
  const minutes = (from - now + 1440) % 1440;
  return { open: false, again: Math.max(1000, minutes * 60_000 - second * 1000) };
}

/** A time of day as it is written. */
export function windowText({ from, to }: Window): string {
  const text = (minutes: number): string =>
    `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
  return `${text(from)}-${text(to)}`;
}
