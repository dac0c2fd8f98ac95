// What must hold between the entries of a document.
import type { Problem } from './check.ts';
import type { ContainerEntry, Desired } from './desired.ts';

/** The first problem between entries: two running versions of a name, a dependency that does not exist, a cycle. */
export function problemBetween(desired: Desired): Problem | null {
  const { containers } = desired;
  const names = new Map<string, ContainerEntry[]>();
  for (const entry of containers.values()) {
    const versions = names.get(entry.name);
    if (versions === undefined) names.set(entry.name, [entry]);
    else versions.push(entry);
  }
  for (const [name, versions] of names) {
    const running = versions.filter(({ state }) => state === 'running');
    if (running.length < 2) continue;
    const keys = running.map(({ key }) => key).join(' and ');
    return problem([running[1]?.key ?? name], `only one version of ${name} can run: ${keys} both ask for it`);
  }
  for (const { key, dependsOn } of containers.values()) {
    for (const dependency of dependsOn.keys()) {
      if (!names.has(dependency)) {
        return problem([key, 'dependsOn', dependency], `${key} depends on ${dependency}, which is not in the document`);
      }
    }
  }
  return cycle(names);
}

function cycle(names: ReadonlyMap<string, readonly ContainerEntry[]>): Problem | null {
  const done = new Set<string>();
  const path: string[] = [];
  const onPath = new Set<string>();

  const visit = (name: string): Problem | null => {
    if (done.has(name)) return null;
    path.push(name);
    onPath.add(name);
    for (const { key, dependsOn } of names.get(name) ?? []) {
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

  for (const name of names.keys()) {
    const found = visit(name);
    if (found !== null) return found;
  }
  return null;
}

function problem(path: string[], message: string): Problem {
  return { path: ['containers', ...path], atKey: true, message };
}
