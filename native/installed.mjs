// Succeeds when node_modules holds exactly what package-lock.json asks for (npm keeps its own copy of that list there).
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

const packages = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;

function matches() {
  const { '': _checkout, ...wanted } = packages('package-lock.json');
  const installed = packages('node_modules/.package-lock.json');
  // Optional packages are those for other processors and systems.
  return Object.entries({ ...wanted, ...installed }).every(([path]) =>
    path in installed ? isDeepStrictEqual(wanted[path], installed[path]) : wanted[path].optional === true,
  );
}

try {
  process.exitCode = matches() ? 0 : 1;
} catch (error) {
  if (error.code !== 'ENOENT') throw error;
  process.exitCode = 1; // nothing is installed yet
}
