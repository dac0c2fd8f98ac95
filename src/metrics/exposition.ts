// Metrics as text: OpenMetrics 1.0, and the older form that Prometheus' own tools check (its exposition format 0.0.4).

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All samples of one name. */
export interface Family {
  /** Without `_total`, which a counter's samples end with, and with its unit at the end. */
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'info' | 'stateset';
  /** A sentence. */
  readonly help: string;
  readonly unit?: 'seconds' | 'bytes';
  readonly samples: readonly Sample[];
}

export type Form = 'openmetrics' | 'prometheus';

export const contentTypes: Readonly<Record<Form, string>> = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
};

/** What is sampled of each type is called the family's name and this. */
const suffixes = { gauge: '', counter: '_total', info: '_info', stateset: '' } as const;

/** Families without samples are left out. */
export function exposed(families: readonly Family[], form: Form): string {
  const lines = families.filter(({ samples }) => samples.length > 0).flatMap((family) => linesOf(family, form));
  return `${[...lines, ...(form === 'openmetrics' ? ['# EOF'] : [])].join('\n')}\n`;
}

function linesOf({ name, type, help, unit, samples }: Family, form: Form): string[] {
  const isOpen = form === 'openmetrics';
  const sampled = name + suffixes[type];
  // The older form knows neither of the last two types, nor names that samples only begin with.
  const subject = isOpen ? name : sampled;
  const shownType = isOpen || type === 'counter' ? type : 'gauge';
  return [
    `# TYPE ${subject} ${shownType}`,
    ...(isOpen && unit !== undefined ? [`# UNIT ${subject} ${unit}`] : []),
    `# HELP ${subject} ${isOpen ? escaped(help) : help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
    ...samples.map(({ labels, value }) => `${sampled}${labelled(labels)} ${number(value)}`),
  ];
}

function labelled(labels: Readonly<Record<string, string>>): string {
  const all = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return all.length === 0 ? '' : `{${all.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
