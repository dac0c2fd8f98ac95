// The examples of build systems, copied to where they are built: nothing of that stays in the checkout.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { run, type Output } from './command.ts';
import { scratchDirectory } from './console/scratch.ts';

const root = join(import.meta.dirname, '../..');

export interface Project {
  readonly directory: string;
  /** Runs a program in the project, with the commands of this checkout in the path. */
  run(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Output>;
  /** The same for one that must succeed; gives what it printed. */
  ok(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string>;
  /** The SHA-256 of a file of the project. */
  digest(file: string): Promise<string>;
}

/** Copies examples/build/NAME. */
export async function exampleProject(context: TestContext, name: string): Promise<Project> {
  const directory = join(await scratchDirectory(context), name);
  await cp(join(root, 'examples/build', name), directory, { recursive: true });
  return projectIn(directory);
}

/** A project in a directory that is there already. */
export function projectIn(directory: string): Project {
  const path = `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`;
  const runIn: Project['run'] = (program, args, env = {}) =>
    run('env', ['-C', directory, program, ...args], { PATH: path, ...env });
  return {
    directory,
    run: runIn,
    async ok(program, args, env) {
      const { code, stdout, stderr } = await runIn(program, args, env);
      assert.equal(code, 0, `${program} ${args.join(' ')}\n${stdout}${stderr}`);
      return stdout;
    },
    digest: async (file) =>
      createHash('sha256')
        .update(await readFile(join(directory, file)))
        .digest('hex'),
  };
}
