// System calls in the output of strace(1): also with -f, -ff, -o and times in front. A line is `name(arguments) = result`;
// `[pid 42]` or `42`, and a time, may stand before it.

/** Process and time in front, then the name at its parenthesis, or that of a call which goes on (`<... read resumed>`). */
const call =
  /^(?:\[pid\s+\d+\]\s*|\d+\s+)?(?:(?:\d+:\d+:\d+|\d+)(?:\.\d+)?\s+)?(?:<\.\.\.\s+)?([a-z_][a-z0-9_]*)(?:\(|\s+resumed>)(.*)$/;

/** Whether a text is the output of strace: its first line that says something is a call. No manifest begins like that. */
export function isTrace(text: string): boolean {
  const first = text.split('\n').find((line) => line.trim() !== '' && !/^(?:strace: |---|\+\+\+)/.test(line)) ?? '';
  return call.test(first.trimEnd());
}

export interface TracedCall {
  readonly name: string;
  /** All arguments as they were printed, of the first time that it was called so. */
  readonly arguments: string;
}

/** Every call once, by name and flags of clone; other lines (signals, exits, what the program printed) say nothing. */
export function tracedCalls(log: string): TracedCall[] {
  const calls = new Map<string, TracedCall>();
  for (const line of log.split('\n')) {
    const found = call.exec(line.trimEnd());
    if (found === null) continue;
    const [, name = '', rest = ''] = found;
    const key = makesNamespace(name, rest) ? `${name} with namespaces` : name;
    if (!calls.has(key)) calls.set(key, { name, arguments: rest });
  }
  return [...calls.values()];
}

/** Whether a call to clone made namespaces: CLONE_NEWNS and so on among its flags (clone(2)). */
export function makesNamespace(name: string, args: string): boolean {
  return name === 'clone' && /\bCLONE_NEW/.test(args);
}
