// Gives a tree of nodes the types that a zod schema asks for. The schema decides: where it wants text, a plain scalar
// is its source (`1.50`, `yes`, `0x10`); where it wants a number, the same scalar is the number.
import { z } from 'zod';
import { isNull, manifestError, type Dictionary, type Node, type Scalar } from './nodes.ts';
import type { Tree } from './syntax.ts';

type Schema = z.core.$ZodType;

/** A field that the schema does not know and does not refuse. */
export interface UnknownField {
  /** Offset in the text, as a node has it. */
  readonly at: number | null;
  readonly path: readonly string[];
}

/**
 * The value for the schema to parse: objects for objects, Map for maps, strings, numbers, bigints, booleans, null. `passedOver`
 * is told each field that the schema drops.
 */
export function shape(
  tree: Tree,
  schema: Schema,
  passedOver: (field: UnknownField) => void = () => undefined,
): unknown {
  return shaper(tree, passedOver)(tree.root, schema);
}

/** What a node says by itself: the core schema of YAML 1.2. Integers beyond 2^53 are bigints; a tag is an object with one member. */
export function plainValue(node: Node): unknown {
  const value = untagged(node);
  if (node.tag === null) return value;
  return isEmptyScalar(node) ? node.tag : { [node.tag]: value };
}

function shaper(tree: Tree, passedOver: (field: UnknownField) => void): (node: Node, schema: Schema) => unknown {
  /** Where the node is that is looked at. */
  const path: string[] = [];

  function member(name: string, node: Node, schema: Schema): unknown {
    path.push(name);
    const shaped = value(node, schema);
    path.pop();
    return shaped;
  }

  function value(node: Node, schema: Schema): unknown {
    const { def } = (schema as z.core.$ZodTypes)._zod;
    switch (def.type) {
      case 'nullable':
        return isNull(node) ? null : value(node, def.innerType);
      case 'optional':
      case 'default':
      case 'readonly':
        return value(node, def.innerType);
      case 'pipe':
        return value(node, def.in);
      case 'union':
        return union(node, def.options);
      case 'unknown':
        return plainValue(node);
      default:
        refuseTag(node);
        return untaggedAs(node, schema);
    }
  }

  function untaggedAs(node: Node, schema: Schema): unknown {
    const { def } = (schema as z.core.$ZodTypes)._zod;
    switch (def.type) {
      case 'string':
      case 'literal':
      case 'enum':
        return node.kind === 'scalar' ? node.text : plainValue(node);
      case 'number':
        return node.kind === 'scalar' && node.plain ? (integer(node.text) ?? node.text) : plainValue(node);
      case 'bigint':
        return node.kind === 'scalar' && node.plain ? (bigInteger(node.text) ?? node.text) : plainValue(node);
      case 'array':
        return node.kind === 'list'
          ? node.items.map((item, index) => member(String(index), item, def.element))
          : plainValue(node);
      case 'object':
        return node.kind === 'map' ? object(node, def) : plainValue(node);
      case 'record':
        return node.kind === 'map' ? Object.fromEntries(entries(node, def.valueType)) : plainValue(node);
      case 'map':
        return node.kind === 'map' ? new Map(entries(node, def.valueType)) : plainValue(node);
      default:
        return plainValue(node);
    }
  }

  function entries(node: Dictionary, schema: Schema): [string, unknown][] {
    return [...node.entries].map(([key, entry]) => [key, member(key, entry.value, schema)]);
  }

  /** Null is absent, where the field may be. Unknown fields go on to the schema, which refuses or drops them. */
  function object(node: Dictionary, { shape: fields, catchall }: z.core.$ZodObjectDef): unknown {
    const members: [string, unknown][] = [];
    for (const [key, entry] of node.entries) {
      const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
      if (field === undefined) {
        members.push([key, null]);
        if (catchall === undefined) passedOver({ at: entry.at, path: [...path, key] });
      } else if (!(isNull(entry.value) && field._zod.optin === 'optional'))
        members.push([key, member(key, entry.value, field)]);
    }
    return Object.fromEntries(members);
  }

  /** One of several forms: told by the variant's name, by the member `type`, else by what kind of node it is. */
  function union(node: Node, options: readonly Schema[]): unknown {
    if (node.tag !== null) return variant(node, node.tag, options);
    const chosen =
      options.find((option) => accepts(option, node)) ?? options.find((option) => kindOf(option) === node.kind);
    if (node.kind === 'map' && tree.syntax === 'YAML' && options.some((option) => variantName(option) !== null)) {
      throw manifestError(
        tree.text,
        node.at,
        [],
        'a variant is written with a tag in YAML, as in "!fifo { priority: 7 }"',
      );
    }
    return chosen === undefined ? plainValue(node) : value(node, chosen);
  }

  function variant(node: Node, name: string, options: readonly Schema[]): unknown {
    if (isEmptyScalar(node)) return name;
    const chosen = options.find((option) => variantName(option) === name);
    const content = chosen === undefined ? undefined : fieldsOf(chosen)?.[name];
    return { [name]: content === undefined ? untagged(node) : value({ ...node, tag: null }, content) };
  }

  function refuseTag(node: Node): void {
    if (node.tag !== null) throw manifestError(tree.text, node.at, [], `there is no variant "!${node.tag}" here`);
  }

  return value;
}

/** Whether a map is meant for this form of a union: the same `type`, or the same variant. */
function accepts(option: Schema, node: Node): boolean {
  const fields = fieldsOf(option);
  if (fields === null || node.kind !== 'map') return false;
  const name = variantName(option);
  if (name !== null) return node.entries.has(name);
  const type = node.entries.get('type')?.value;
  const wanted = (fields['type'] as z.core.$ZodTypes | undefined)?._zod.def;
  return type?.kind === 'scalar' && wanted?.type === 'literal' && wanted.values.includes(type.text);
}

function kindOf(option: Schema): Node['kind'] {
  const { def } = (option as z.core.$ZodTypes)._zod;
  if (def.type === 'pipe') return kindOf(def.in);
  if (def.type === 'array') return 'list';
  return def.type === 'object' || def.type === 'map' ? 'map' : 'scalar';
}

function fieldsOf(option: Schema): Readonly<Record<string, Schema>> | null {
  const { def } = (option as z.core.$ZodTypes)._zod;
  return def.type === 'object' ? def.shape : null;
}

/** The only member of an object that stands for a variant with content. */
function variantName(option: Schema): string | null {
  const names = Object.keys(fieldsOf(option) ?? {});
  return names.length === 1 && names[0] !== 'type' ? (names[0] ?? null) : null;
}

function isEmptyScalar(node: Node): node is Scalar {
  return node.kind === 'scalar' && node.plain && node.text === '';
}

function untagged(node: Node): unknown {
  if (node.kind === 'list') return node.items.map(plainValue);
  if (node.kind === 'map')
    return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plainValue(value)]));
  if (!node.plain) return node.text;
  if (isNull({ ...node, tag: null })) return null;
  if (/^(?:true|True|TRUE)$/.test(node.text)) return true;
  if (/^(?:false|False|FALSE)$/.test(node.text)) return false;
  return bigInteger(node.text) === null ? (float(node.text) ?? node.text) : integer(node.text);
}

/** An integer of YAML's core schema; a bigint where a number would lose digits, null when it is none. */
function integer(text: string): number | bigint | null {
  const value = bigInteger(text);
  return value !== null && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function bigInteger(text: string): bigint | null {
  if (!/^(?:[-+]?[0-9]{1,40}|0x[0-9a-fA-F]{1,32}|0o[0-7]{1,40})$/.test(text)) return null;
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text.replace(/^\+/, ''));
}

function float(text: string): number | null {
  return /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(text) ? Number(text) : null;
}
