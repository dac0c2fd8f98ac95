// Operations of RFC 6902 on plain objects, without changing what somebody may still hold.
import type { Operation } from 'fast-json-patch';
import { parsePointer } from './pointer.ts';

/** The value with the operations made; parts that they do not touch are shared. Knows add, replace and remove. */
export function applied<T>(value: T, operations: readonly Operation[]): T {
  return operations.reduce<unknown>((now, operation) => at(now, parsePointer(operation.path), operation), value) as T;
}

function at(value: unknown, [key, ...rest]: readonly string[], operation: Operation): unknown {
  if (key === undefined) return 'value' in operation ? operation.value : null;
  if (Array.isArray(value)) return inList(value, key, rest, operation);
  const members = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (rest.length > 0 || operation.op !== 'remove') return { ...members, [key]: at(members[key], rest, operation) };
  const { [key]: _, ...others } = members;
  return others;
}

function inList(list: readonly unknown[], key: string, rest: readonly string[], operation: Operation): unknown {
  // immer cuts a list by giving it another length.
  if (key === 'length' && operation.op === 'replace') return list.slice(0, Number(operation.value));
  const index = key === '-' ? list.length : Number(key);
  if (rest.length > 0 || operation.op === 'replace') return list.with(index, at(list[index], rest, operation));
  if (operation.op === 'remove') return list.toSpliced(index, 1);
  return list.toSpliced(index, 0, at(null, [], operation));
}
