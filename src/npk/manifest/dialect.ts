// The older dialect of the manifest (before 0.9), rewritten to today's node by node, so that errors keep their places.
import { outputLevels, type OutputLevel } from '../../../state/names.ts';
import type { OutputLogs } from '../../../state/observed.ts';
import { modernCgroups } from './dialect-cgroups.ts';
import { minijailRule } from './minijail.ts';
import { dictionary, manifestError, scalar, type Dictionary, type Node } from './nodes.ts';
import type { Tree } from './syntax.ts';
import type { Context, Rewriting } from './dialect-context.ts';
import { messageOf } from '../../../state/errno.ts';

const fields: Readonly<Record<string, Rewriting>> = {
  autostart,
  cgroups: modernCgroups,
  mounts,
  seccomp,
  capabilities,
  io,
};

/** The tree in today's dialect, and what was found of the older one. Throws a PackageError for what has no counterpart. */
export function modernise(
  tree: Tree,
  { old }: { old: boolean },
): { root: Node; deprecations: readonly string[]; logs: OutputLogs } {
  const { root } = tree;
  const logs: Context['logs'] = new Map();
  if (root.kind !== 'map') return { root, deprecations: [], logs };
  const deprecations = new Set<string>();
  const context: Context = { tree, old, logs, note: (deprecation) => deprecations.add(deprecation) };
  const entries = [...root.entries].flatMap(([field, { at, value }]) => {
    const rewriting = Object.hasOwn(fields, field) ? fields[field] : undefined;
    const modern = rewriting === undefined ? value : rewriting(value, context);
    return modern === null ? [] : ([[field, { at, value: modern }]] as const);
  });
  const modern: Dictionary = { ...root, entries: new Map(entries) };
  return { root: old ? withProcAndDev(modern, context) : modern, deprecations: [...deprecations], logs };
}

function autostart(node: Node, { note }: Context): Node | null {
  if (node.kind !== 'scalar' || !node.plain || !/^(?:true|false)$/.test(node.text)) return node;
  note('autostart: true is autostart: relaxed');
  return node.text === 'true' ? scalar('relaxed', node) : null;
}

function capabilities(node: Node, { note }: Context): Node {
  if (node.kind !== 'list') return node;
  const items = node.items.map((item) => {
    if (item.kind !== 'scalar' || !/^cap_[a-z_]+$/.test(item.text)) return item;
    note('capabilities are written in capitals');
    return { ...item, text: item.text.toUpperCase() };
  });
  return { ...node, items };
}

/** `stdout: {log: [LEVEL, tag]}` goes to the log in that way; a stream that was left out is discarded. */
function io(node: Node, context: Context): Node {
  const { old, note } = context;
  if (node.kind !== 'map') return node;
  let changed = old;
  const entries = new Map(node.entries);
  for (const [stream, { at, value }] of node.entries) {
    const log = value.kind === 'map' ? value.entries.get('log') : undefined;
    if (log === undefined) continue;
    changed = true;
    note('io: log is pipe, which has no level and no tag of its own');
    if (stream === 'stdout' || stream === 'stderr') context.logs.set(stream, logOf(stream, log.value, context));
    entries.set(stream, { at, value: scalar('pipe', value) });
  }
  for (const stream of changed ? ['stdout', 'stderr'] : []) {
    if (!entries.has(stream)) entries.set(stream, { at: node.at, value: scalar('discard', node) });
  }
  return { ...node, entries };
}

/** `[LEVEL, tag]`, the level in any case. */
function logOf(stream: string, node: Node, { tree }: Context): { level: OutputLevel; tag: string } {
  const [first, second, ...more] = node.kind === 'list' ? node.items : [];
  const level = outputLevels.find((name) => first?.kind === 'scalar' && first.text.toLowerCase() === name);
  if (level === undefined || second?.kind !== 'scalar' || more.length > 0) {
    const message = `must be a level (${outputLevels.join(', ')}) and a tag`;
    throw manifestError(tree.text, node.at, ['io', stream, 'log'], message);
  }
  return { level, tag: second.text };
}

function mounts(node: Node, context: Context): Node {
  if (node.kind !== 'map') return node;
  const entries = [...node.entries].map(
    ([target, { at, value }]) => [target, { at, value: mount(value, context) }] as const,
  );
  return { ...node, entries: new Map(entries) };
}

function mount(node: Node, { note }: Context): Node {
  if (node.kind === 'scalar' && (node.text === 'persist' || node.text === 'full')) {
    note('mounts: persist and full are type: persist and type: dev');
    return dictionary(node, [['type', scalar(node.text === 'full' ? 'dev' : 'persist', node)]]);
  }
  if (node.kind !== 'map' || node.entries.has('type')) return node;
  const kind = ['host', 'tmpfs', 'resource'].find((key) => node.entries.has(key));
  if (kind === undefined) return node;
  note(`mounts: a mount says its type (${kind})`);
  const entries = [...node.entries].flatMap(([key, { value }]) => mountField(key, value));
  return dictionary(node, [['type', scalar(kind === 'host' ? 'bind' : kind, node)], ...entries]);
}

function mountField(key: string, value: Node): [string, Node][] {
  if (key === 'flags' && value.kind === 'list') {
    const flags = value.items.map((item) => (item.kind === 'scalar' ? item.text : ''));
    return [['options', scalar(flags.join(','), value)]];
  }
  if (value.kind !== 'scalar') return [[key, value]];
  if (key === 'tmpfs') return [['size', scalar(binarySize(value.text), value, true)]];
  if (key !== 'resource') return [[key, value]];
  const [, name = value.text, version = '', dir = '/'] = /^([^:/]+):([^:/]+)(\/.*)?$/.exec(value.text) ?? [];
  return [
    ['name', scalar(name, value)],
    ['version', scalar(`=${version}`, value)],
    ['dir', scalar(dir, value)],
  ];
}

/** Units were binary; as bytes. What is no such size is left for the schema to refuse. */
function binarySize(text: string): string {
  const [, digits, unit = ''] = /^(\d{1,15})([kmg]?)$/i.exec(text) ?? [];
  return digits === undefined ? text : String(Number(digits) * 1024 ** ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase()));
}

/** A map of system calls to minijail's expressions. */
function seccomp(node: Node, { tree, note }: Context): Node {
  if (node.kind !== 'map' || [...node.entries.keys()].every((key) => key === 'profile' || key === 'allow')) return node;
  note('seccomp: system calls stand below allow, with any or !args instead of an expression');
  const rules = [...node.entries].flatMap(([call, { at, value }]) => {
    if (value.kind !== 'scalar') throw manifestError(tree.text, at, ['seccomp', call], 'must be an expression');
    try {
      const rule = minijailRule(value);
      return rule === null ? [] : ([[call, rule]] as const);
    } catch (error) {
      const message = messageOf(error);
      throw manifestError(tree.text, at, ['seccomp', call], message, { cause: error });
    }
  });
  return dictionary(node, [['allow', dictionary(node, rules)]]);
}

/** Every container with an init had them. */
function withProcAndDev(root: Dictionary, { note }: Context): Dictionary {
  const given = root.entries.get('mounts')?.value ?? dictionary(root, []);
  if (!root.entries.has('init') || given.kind !== 'map') return root;
  note('mounts: /proc and /dev are no longer there by themselves');
  const missing = ['proc', 'dev'].filter((type) => !given.entries.has(`/${type}`));
  const added = missing.map((type) => [`/${type}`, dictionary(root, [['type', scalar(type, root)]])] as const);
  const all = [...given.entries].map(([target, { value }]) => [target, value] as const);
  const mounts = { at: given.at, value: dictionary(given, [...all, ...added]) };
  return { ...root, entries: new Map([...root.entries, ['mounts', mounts]]) };
}
