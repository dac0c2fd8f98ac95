// The manifest as packers write it into a package: YAML in the order of Northstar's fields, defaults left out.
import type { Manifest, SeccompCondition, SeccompRule } from '../../../state/schema/manifest.ts';
import { jsonNodes } from './json-nodes.ts';
import { manifestForInspect } from './manifest-json.ts';
import { isNull, manifestError, type Dictionary, type Node } from './nodes.ts';

/**
 * The text of manifest.yaml. A seccomp section whose rules have alternatives is written as the older dialect has it, where they
 * come from. Throws a ManifestError when there are such rules beside a profile, for which neither dialect has words.
 */
export function manifestYaml(manifest: Manifest): string {
  // As JSON, since that form has the names, the order and every digit already.
  const root = jsonNodes(JSON.stringify({ ...manifestForInspect(manifest), ...olderSeccomp(manifest) }));
  if (root?.kind !== 'map') throw manifestError('', null, [], 'it has no fields');
  return mapLines(inYaml(root), '').join('');
}

/** The section as a map of system calls to minijail's expressions, when a rule has alternatives; else nothing. */
function olderSeccomp({ seccomp }: Manifest): { seccomp?: object } {
  const rules = [...(seccomp?.allow ?? [])];
  const alternatives = rules.find(([, rule]) => rule !== 'any' && Array.isArray(rule.args));
  if (alternatives === undefined) return {};
  if (seccomp?.profile !== undefined) {
    const [call, rule] = alternatives;
    const message = `"${expression(rule)}" cannot be written beside a profile, where a call has one condition: use values, or one mask`;
    throw manifestError('', null, ['seccomp', 'allow', call], message);
  }
  return { seccomp: Object.fromEntries(rules.map(([call, rule]) => [call, expression(rule)])) };
}

function expression(rule: SeccompRule): string {
  return rule === 'any' ? '1' : [rule.args].flat().map(term).join(' || ');
}

/** A condition as minijail writes it. */
function term({ index, values, mask }: SeccompCondition): string {
  const tests = (values ?? []).map((value) => `arg${index} == ${value}`);
  return [...tests, ...(mask === undefined ? [] : [`arg${index} in 0x${mask.toString(16)}`])].join(' || ');
}

/** Variants become tags, and what is null by default goes. */
function inYaml(root: Dictionary): Dictionary {
  return within(root, {
    sched: (sched) => within(sched, { policy: variant }),
    network: variant,
    seccomp: (seccomp) => within(seccomp, { allow: (allow) => within(allow, () => variant) }),
    selinux: (selinux) => within(selinux, () => (label) => (isNull(label) ? null : label)),
  });
}

type Rewrite = (node: Node) => Node | null;

/** The map with changes made to members, by name or all alike; null takes one out. */
function within<T extends Node>(map: T, changes: Readonly<Record<string, Rewrite>> | (() => Rewrite)): T {
  if (map.kind !== 'map') return map;
  const entries = [...map.entries].flatMap(([key, { at, value }]) => {
    const change = typeof changes === 'function' ? changes() : changes[key];
    const changed = change === undefined ? value : change(value);
    return changed === null ? [] : ([[key, { at, value: changed }]] as const);
  });
  return { ...map, entries: new Map(entries) };
}

/** `{"fifo": {...}}` is written `!fifo {...}`. */
function variant(node: Node): Node {
  const [first] = node.kind === 'map' ? node.entries : [];
  return first === undefined ? node : { ...first[1].value, tag: first[0] };
}

function mapLines(map: Dictionary, indent: string): string[] {
  return [...map.entries].flatMap(([key, { value }]) => valueLines(`${indent}${text(key)}:`, value, indent));
}

/** A value behind its key or dash: on the same line, or as a block below. */
function valueLines(head: string, node: Node, indent: string): string[] {
  const start = node.tag === null ? head : `${head} !${node.tag}`;
  if (node.kind === 'scalar') return [`${start} ${node.plain ? node.text : text(node.text)}\n`];
  if (node.kind === 'list') {
    if (node.items.length === 0) return [`${start} []\n`];
    return [`${start}\n`, ...node.items.flatMap((item) => valueLines(`${indent}-`, item, `${indent}  `))];
  }
  if (node.entries.size === 0) return [`${start} {}\n`];
  const lines = mapLines(node, `${indent}  `);
  return head.endsWith('-') && node.tag === null ? asItem(head, lines, indent) : [`${start}\n`, ...lines];
}

/** The first line of a map goes behind the dash. */
function asItem(head: string, lines: string[], indent: string): string[] {
  const inner = lines.map((line) => line.slice(2));
  return [`${head} ${(inner[0] ?? '').slice(indent.length)}`, ...inner.slice(1)];
}

/** A scalar that every reader of YAML takes for this text. */
function text(value: string): string {
  const word = /^[A-Za-z_/^][\w./^~=+@-]*$/.test(value) && !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(value);
  if (word || /^\d+\.\d+\.\d+$/.test(value)) return value;
  return /^[\x20-\x7e]*$/.test(value) ? `'${value.replaceAll("'", "''")}'` : JSON.stringify(value);
}
