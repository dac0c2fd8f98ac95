// What must hold between the entries of a document.
import type { Problem } from './check.ts';
import type { ContainerEntry, Desired } from './desired.ts';

/** The first problem between entries: two running versions of a name, a dependency that does not exist, a cycle. */
export function problemBetween({ containers }: Desired): Problem | null {
  const names = new Set<string>();
  const running = new Map<string, string>();
  const depending = new Map<string, ContainerEntry[]>();
  for (const entry of containers.values()) {
    const { key, name, state, dependsOn } = entry;
    names.add(name);
    if (dependsOn.size > 0) depending.set(name, [...(depending.get(name) ?? []), entry]);
    if (state !== 'running') continue;
    const other = running.get(name);
    if (other !== undefined)
      return problem([key], `only one version of ${name} can run: ${other} and ${key} both ask for it`);
    running.set(name, key);
  }
  for (const { key, dependsOn } of [...depending.values()].flat()) {
    for (const dependency of dependsOn.keys()) {
      if (names.has(dependency)) continue;
      return problem([key, 'dependsOn', dependency], `${key} depends on ${dependency}, which is not in the document`);
    }
  }
  return cycle(depending);
}

/** `depending`: the entries of each name that depends on others. */
function cycle(depending: ReadonlyMap<string, readonly ContainerEntry[]>): Problem | null {
  const done = new Set<string>();
  const path: string[] = [];
  const onPath = new Set<string>();

  const visit = (name: string): Problem | null => {
    if (done.has(name)) return null;
    path.push(name);
    onPath.add(name);
    for (const { key, dependsOn } of depending.get(name) ?? []) {
      for (const next of dependsOn.keys()) {
        if (onPath.has(next)) {
          const members = [...path.slice(path.indexOf(next)), next].join(' -> ');
          return problem([key, 'dependsOn', next], `these depend on each other in a cycle: ${members}`);
        }
        const found = visit(next);
        if (found !== null) return found;
      }
    }
    path.pop();
    onPath.delete(name);
    done.add(name);
    return null;
  };

  for (const name of depending.keys()) {
    const found = visit(name);
    if (found !== null) return found;
  }
  return null;
}

function problem(path: string[], message: string): Problem {
  return { path: ['containers', ...path], atKey: true, message };
}
