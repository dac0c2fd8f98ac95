// What compile-bundle.ts has done in the Node that it compiles for, which has the flags that a reconciler is started with:
//
//   compile-step.ts compile SOURCE OUT       those whose last offsets the standard input has, one a line
//   compile-step.ts flags OUT                what V8 compiles now, of nothing
//   compile-step.ts accepts SOURCE COMPILED  ends with 1 when V8 does not take it
import { readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { constants, Script } from 'node:vm';

/** As bundle-entry.cjs has it: what of a script is in its compiled code depends on it. */
const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;

/** It is in what is written, where nothing may hang on a place; the entry gives the script its own. */
const scriptName = 'bundle.cjs';

/** A debugger of this process itself, which compiles a function without running it when it is asked where one could stop in it. */
function debug(source: string): { post: (method: string, parameters?: object) => unknown; script: Script; id: string } {
  const session = new Session();
  session.connect();
  let id = '';
  session.on('Debugger.scriptParsed', ({ params }) => {
    if (params.url === scriptName) id = params.scriptId;
  });
  const post = (method: string, parameters: object = {}): unknown => {
    let answer: unknown;
    session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  };
  const script = new Script(readFileSync(source, 'latin1'), { filename: scriptName, importModuleDynamically });
  // It is the function that its entry calls; a script that has not been run is not told of.
  script.runInThisContext();
  post('Debugger.enable');
  return { post, script, id };
}

function compile(source: string, out: string): void {
  const ends = readFileSync(0, 'utf8').split('\n').filter(Boolean).map(Number);
  const text = readFileSync(source, 'latin1');
  const lines = [...text.matchAll(/^/gm)].map(({ index }) => index);
  const { post, script, id: scriptId } = debug(source);
  let lineNumber = 0;
  for (const end of ends.toSorted((a, b) => a - b)) {
    while ((lines[lineNumber + 1] ?? Infinity) < end) lineNumber += 1;
    const start = { scriptId, lineNumber, columnNumber: end - 1 - (lines[lineNumber] ?? 0) };
    const stop = { ...start, columnNumber: start.columnNumber + 1 };
    post('Debugger.getPossibleBreakpoints', { start, end: stop, restrictToFunction: true });
  }
  writeFileSync(out, script.createCachedData());
}

function accepts(source: string, compiled: string): void {
  const cachedData = readFileSync(compiled);
  const script = new Script(readFileSync(source, 'latin1'), { filename: source, cachedData, importModuleDynamically });
  process.exitCode = script.cachedDataRejected === false ? 0 : 1;
}

const [step = '', first = '', second = ''] = process.argv.slice(2);
if (step === 'compile') compile(first, second);
else if (step === 'flags') writeFileSync(first, new Script('0').createCachedData());
else accepts(first, second);
