// Building a crate's program: cargo's own messages say where it is (`--message-format json`), nothing is guessed.
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { runProgram } from '../run-program.ts';
import { cargo, type Crate } from './cargo-metadata.ts';

export interface BuildOptions {
  readonly program: string;
  /** For cargo: --target, --release, --features and so on. */
  readonly options: readonly string[];
  readonly useCross: boolean;
  readonly targetDirectory: string;
}

const artifactSchema = z.object({
  reason: z.literal('compiler-artifact'),
  manifest_path: z.string().optional(),
  target: z.object({ name: z.string(), kind: z.array(z.string()) }),
  executable: z.string().nullable(),
});

/** Builds a program of a crate; gives the path of the executable. Rejects when cargo fails: it has said why on stderr. */
export async function buildProgram(crate: Crate, build: BuildOptions): Promise<string> {
  const { program, options, useCross, targetDirectory } = build;
  const command = useCross ? (process.env['CROSS'] ?? 'cross') : cargo;
  // Cross maps paths below the working directory into its container.
  const manifest = useCross ? relative(process.cwd(), crate.manifest_path) : crate.manifest_path;
  const words = ['build', '--message-format', 'json-render-diagnostics', '--manifest-path', manifest, '--bin', program];
  const built: string[] = [];
  const code = await runProgram(command, [...words, ...options], {
    onLine(line) {
      const found = artifactSchema.safeParse(messageOf(line));
      if (!found.success || !found.data.target.kind.includes('bin') || found.data.target.name !== program) return;
      if (found.data.executable !== null) built.push(found.data.executable);
    },
  });
  if (code !== 0) throw new Error(`${command} build of ${crate.name} failed (exit code ${code})`);
  const executable = built.at(-1);
  if (executable === undefined) throw new Error(`${command} built ${crate.name}, but no program ${program}`);
  return hostPath(executable, targetDirectory);
}

function messageOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // Build scripts of old crates print between the messages.
    return null;
  }
}

/** Cross tells the path in its container, where the target directory is /target. */
function hostPath(executable: string, targetDirectory: string): string {
  if (existsSync(executable) || !executable.startsWith('/target/')) return executable;
  return join(targetDirectory, executable.slice('/target/'.length));
}
