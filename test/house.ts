// The house's rules that no linter has: no file imports in a circle, types included; what plans are made of does not speak
// to the kernel; a name stands once in the tree; and nothing names a path outside of the repository, so that a clone lies
// alone. Prints what breaks one of them and ends with exit code 1.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, normalize, relative } from 'node:path';
import ts from 'typescript';

const root = normalize(join(import.meta.dirname, '..'));
const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
const files = listed
  .toString()
  .split('\0')
  .filter((file) => file !== '' && existsSync(join(root, file)));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Fixtures are data of others: what is in them has the names and paths that it had. */
const own = files.filter((file) => !file.startsWith('test/fixtures/'));
const sources = own.filter((file) => /\.(?:ts|mjs|c|h|sh)$/.test(file));
const modules = new Set(own.filter((file) => /\.(?:ts|mjs)$/.test(file)));

interface Imports {
  /** Files of ours, those included that are imported for their types, or later. */
  readonly all: readonly string[];
  /** Those that are there when the importing one runs. */
  readonly values: readonly string[];
}

function importsOf(file: string): Imports {
  const text = read(file);
  const inside = (specifiers: readonly string[]): string[] =>
    specifiers
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => normalize(join(file, '..', specifier)))
      .filter((target) => modules.has(target));
  const all = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
  const types = [...text.matchAll(/^import type [^;]*? from '([^']+)'/gms)].map(([, specifier]) => specifier);
  return { all: inside(all), values: inside(all.filter((specifier) => !types.includes(specifier))) };
}

const graph = new Map([...modules].map((file) => [file, importsOf(file)]));

/** Strongly connected files (Tarjan 1972): each set of more than one is at least one circle. */
function circles(): string[][] {
  const found: string[][] = [];
  const numbers = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): void => {
    const number = numbers.size;
    numbers.set(file, number);
    lowest.set(file, number);
    stack.push(file);
    for (const target of graph.get(file)?.all ?? []) {
      if (!numbers.has(target)) visit(target);
      if (stack.includes(target)) lowest.set(file, Math.min(lowest.get(file) ?? 0, lowest.get(target) ?? 0));
    }
    if (lowest.get(file) === number) {
      const component = stack.splice(stack.indexOf(file));
      if (component.length > 1) found.push(component);
    }
  };
  for (const file of modules) if (!numbers.has(file)) visit(file);
  return found;
}

/** The way from a plan to the kernel, null when there is none. */
function wayToKernel(plan: string): string | null {
  const ways = new Map([[plan, plan]]);
  for (const [file, way] of ways) {
    if (file.startsWith('native/')) return way;
    for (const target of graph.get(file)?.values ?? []) if (!ways.has(target)) ways.set(target, `${way} > ${target}`);
  }
  return null;
}

const problems = [
  ...circles().map((circle) => `files that import each other: ${circle.join(', ')}`),
  ...[...modules]
    .filter((file) => /^controllers\/.*-plan\.ts$/.test(file))
    .map(wayToKernel)
    .filter((way) => way !== null)
    .map((way) => `a plan speaks to the kernel: ${way}`),
  ...[...Map.groupBy(sources, (file) => basename(file)).values()]
    .filter((named) => named.length > 1)
    .map((named) => `one name for several files: ${named.join(', ')}`),
  ...own.flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, index) => outside(file, line).map((path) => `${file}:${index + 1}: a path outside: ${path}`)),
  ),
];

/** Relative paths in a line that lead out of the repository, except to a place of its own from somewhere deeper; and where this clone lies. */
function outside(file: string, line: string): string[] {
  const relatives = [...line.matchAll(/(?<![\w./-])(?:\.\.?\/)+\w[\w.-]*(?:\/[\w.-]+)*/g)].map(([path]) => path);
  const leaving = relatives.filter(
    (path) =>
      relative(root, join(root, file, '..', path)).startsWith('..') &&
      !existsSync(join(root, path.replace(/^(?:\.\.?\/)+/, ''))),
  );
  return [...leaving, ...(line.includes(`${root}/`) ? [root] : [])];
}

for (const problem of problems) console.log(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
