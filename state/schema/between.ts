// What must hold between the entries of a document.
import type { Problem } from './check-value.ts';
import type { ContainerEntry, Desired } from '../desired.ts';
import { onlyVersion } from '../version.ts';

/**
 * The first problem between entries: two running versions of a name, two entries that say different things of one version, a
 * dependency that does not exist, a cycle.
 */
export function problemBetween({ containers }: Desired): Problem | null {
  const names = new Set<string>();
  const running = new Map<string, string>();
  const depending = new Map<string, ContainerEntry[]>();
  for (const entry of containers.values()) {
    const { key, name, state, dependsOn } = entry;
    names.add(name);
    const contradiction = key === name ? null : contradictionOf(containers.get(name), entry);
    if (contradiction !== null) return contradiction;
    if (dependsOn.size > 0) depending.set(name, [...(depending.get(name) ?? []), entry]);
    if (state !== 'running') continue;
    const other = running.get(name);
    if (other !== undefined)
      return problem([key], `only one version of ${name} can run: ${other} and ${key} both ask for it`);
    running.set(name, key);
  }
  for (const { key, restartWith, dependsOn } of containers.values()) {
    const stranger = restartWith.find((partner) => !dependsOn.has(partner));
    if (stranger !== undefined)
      return problem([key, 'restartWith'], `${key} does not depend on ${stranger}: name it in dependsOn as well`);
  }
  for (const { key, dependsOn } of [...depending.values()].flat()) {
    for (const dependency of dependsOn.keys()) {
      if (names.has(dependency)) continue;
      return problem([key, 'dependsOn', dependency], `${key} depends on ${dependency}, which is not in the document`);
    }
    const endless = endlessOf(containers, dependsOn, running);
    if (endless !== null) {
      const never = `${key} waits until ${endless} has ended with 0, which restarts it without end`;
      return problem([key, 'dependsOn', endless], `${never}: its restart policy must be on-failure or never`);
    }
  }
  return cycle(depending);
}

/** A dependency that is to succeed and is started again whenever it ends; null: there is none. */
function endlessOf(
  containers: Desired['containers'],
  dependsOn: ContainerEntry['dependsOn'],
  running: ReadonlyMap<string, string>,
): string | null {
  const isEndless = ([name, asked]: readonly [string, string]): boolean =>
    asked === 'succeeded' && containers.get(running.get(name) ?? '')?.restart.policy === 'always';
  return [...dependsOn].find(isEndless)?.[0] ?? null;
}

/** What the entry of a name says of its only version, and the entry of that version otherwise. */
function contradictionOf(ofName: ContainerEntry | undefined, ofVersion: ContainerEntry): Problem | null {
  if (ofName === undefined || onlyVersion(ofName.version ?? '*') !== ofVersion.version) return null;
  for (const field of ['state', 'repository', 'digest', 'source'] as const) {
    const [one, other] = [ofName[field], ofVersion[field]];
    if (one === other || one === null || other === null) continue;
    const both = `${ofName.key} (version ${ofName.version}) and ${ofVersion.key} are one package`;
    return problem([ofVersion.key], `${both}, and ask for ${field} ${one} and ${other}: one entry must go`);
  }
  return null;
}

/** `depending`: the entries of each name that depends on others. Walks with a list instead of calls: chains may be long. */
function cycle(depending: ReadonlyMap<string, readonly ContainerEntry[]>): Problem | null {
  const seen = new Set<string>();
  for (const first of depending.keys()) {
    // The way from `first` to where we are; of each name the dependencies that are still to be looked at.
    const way: { readonly name: string; readonly edges: Edge[] }[] = [];
    const onWay = new Set<string>();
    const enter = (name: string): void => {
      if (seen.has(name)) return;
      seen.add(name);
      onWay.add(name);
      way.push({ name, edges: edgesOf(depending.get(name) ?? []) });
    };
    enter(first);
    for (let here = way.at(-1); here !== undefined; here = way.at(-1)) {
      const edge = here.edges.pop();
      if (edge === undefined) {
        way.pop();
        onWay.delete(here.name);
      } else if (onWay.has(edge.to)) {
        const names = way.map(({ name }) => name);
        const members = [...names.slice(names.indexOf(edge.to)), edge.to].join(' -> ');
        return problem([edge.key, 'dependsOn', edge.to], `these depend on each other in a cycle: ${members}`);
      } else enter(edge.to);
    }
  }
  return null;
}

interface Edge {
  readonly key: string;
  readonly to: string;
}

function edgesOf(entries: readonly ContainerEntry[]): Edge[] {
  return entries.flatMap(({ key, dependsOn }) => [...dependsOn.keys()].map((to) => ({ key, to })));
}

function problem(path: string[], message: string): Problem {
  return { path: ['containers', ...path], atKey: true, message };
}
