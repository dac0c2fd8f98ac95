// The launcher's rooms: what is shared at the top, the sandbox, the core. No circle, and no call that an older C library
// lacks.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

const launcher = join(import.meta.dirname, '../../../../native/launcher');
const files = globSync('**/*.{c,h,def}', { cwd: launcher });

/** A module is a header and what stands behind it: `core/loop` is core/loop.c and core/loop.h. */
const moduleOf = (file: string): string => file.replace(/\.\w+$/, '');
const roomOf = (module: string): string => (dirname(module) === '.' ? 'shared' : dirname(module));

/** The modules that each module includes, itself excepted. */
function modules(): Map<string, Set<string>> {
  const all = new Map(files.map((file) => [moduleOf(file), new Set<string>()]));
  for (const file of files) {
    for (const [, name = ''] of readFileSync(join(launcher, file), 'utf8').matchAll(/^#include "(.+)"/gm)) {
      const included = moduleOf(normalize(join(dirname(file), name)));
      if (included !== moduleOf(file)) all.get(moduleOf(file))?.add(included);
    }
  }
  return all;
}

/** A circle that begins and ends at this module, null when there is none. */
function circle(all: Map<string, Set<string>>, path: readonly string[]): readonly string[] | null {
  for (const next of all.get(path.at(-1) ?? '') ?? []) {
    if (next === path[0]) return [...path, next];
    const found = path.includes(next) ? null : circle(all, [...path, next]);
    if (found) return found;
  }
  return null;
}

test('no module includes itself in a circle', () => {
  const all = modules();
  assert.ok(all.size > 30);
  assert.deepEqual(
    [...all.keys()].map((module) => circle(all, [module])).filter((found) => found !== null),
    [],
  );
});

test('the sandbox knows nothing of the core, what they share neither', () => {
  const allowed: Readonly<Record<string, readonly string[]>> = {
    shared: ['shared'],
    sandbox: ['shared', 'sandbox'],
    prober: ['shared', 'sandbox', 'prober'],
    copier: ['shared', 'copier'],
    core: ['shared', 'sandbox', 'prober', 'copier', 'reexec', 'core'],
    reexec: ['shared', 'sandbox', 'core', 'reexec'],
  };
  const wrong = [...modules()].flatMap(([module, included]) =>
    [...included]
      .filter((other) => !allowed[roomOf(module)]?.includes(roomOf(other)))
      .map((other) => `${module} includes ${other}`),
  );
  assert.deepEqual(wrong, []);
});

test('the core reaches the other rooms by their doors only', () => {
  const doors = [
    'sandbox/launch',
    'sandbox/join',
    'sandbox/control',
    'sandbox/places',
    'prober/prober',
    'copier/copier',
  ].concat(['proof', 'proving', 'state', 'successor', 'takeover'].map((name) => `reexec/${name}`));
  const used = [...modules()]
    .filter(([module]) => roomOf(module) === 'core')
    .flatMap(([, included]) =>
      [...included].filter((other) => !['core', 'shared'].includes(roomOf(other)) && !doors.includes(other)),
    );
  assert.deepEqual(used, []);
});

test('calls that glibc 2.31 has no wrapper for are made by number', () => {
  const newer =
    /(?<![\w>.])(close_range|fsopen|fsconfig|fsmount|fspick|move_mount|open_tree|mount_setattr|pidfd_open|pidfd_getfd|pidfd_send_signal|execveat|clone3|openat2|epoll_pwait2|process_madvise)\(/;
  const found = files.filter((file) => {
    const code = readFileSync(join(launcher, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|"(?:[^"\\]|\\.)*"/g, '');
    return newer.test(code);
  });
  assert.deepEqual(found, []);
});
