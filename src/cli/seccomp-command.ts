// northstate seccomp: what a package's profile lets in, and a profile from a trace.
import { open, readFile } from 'node:fs/promises';
import { errnoName } from '../../native/libc.ts';
import {
  compileFor,
  describeFilter,
  hasCall,
  isSyscall,
  ownArchitecture,
  type Architecture,
} from '../../native/seccomp-filter.ts';
import { besideProfile, seccompRules } from '../../controllers/sandbox/seccomp-profile.ts';
import type { Manifest } from '../../state/schema/manifest.ts';
import { readManifest } from '../npk/manifest/read-manifest.ts';
import { readPackage } from '../npk/open-package.ts';
import { isTrace, makesNamespace, tracedCalls } from './strace.ts';
import { exitCodes, Failure } from './exit.ts';
import { printable, render, table, type Format } from './output.ts';
import type { ArgumentTest, FilterRule } from '../../native/seccomp-rules.ts';
import { containerId } from '../../state/container-id.ts';

export interface SeccompOptions {
  readonly output: Format;
  /** Left out: that of this machine. */
  readonly arch?: Architecture;
  readonly fromStrace?: string;
  /** False with --no-default-profile. */
  readonly defaultProfile: boolean;
}

/** Bytes of a struct sock_filter. */
const instruction = 8;

/** seccomp FILE, seccomp LOG, or seccomp --from-strace LOG. */
export async function seccomp(file: string | undefined, options: SeccompOptions): Promise<void> {
  const { fromStrace } = options;
  if ((file === undefined) === (fromStrace === undefined)) {
    throw new Failure('expected one manifest or package, or --from-strace LOG', { code: exitCodes.usage });
  }
  if (fromStrace !== undefined)
    process.stdout.write(profileOf(await readFile(fromStrace, 'utf8'), fromStrace, options));
  else if (file !== undefined) await showOrMake(file, options);
}

/** Northstar's tool takes the log without a word before it. */
async function showOrMake(file: string, options: SeccompOptions): Promise<void> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
  const head = buffer.toString('latin1', 0, bytesRead);
  if (isTrace(head)) process.stdout.write(profileOf(await handle.readFile('utf8'), file, options));
  // A package is an archive, which a manifest does not begin like.
  else if (file.endsWith('.npk') || head.startsWith('PK')) await show((await readPackage(file)).manifest, options);
  else await show((await readManifest(await handle.readFile(), { old: false })).manifest, options);
}

async function show(manifest: Manifest, { output, arch = ownArchitecture }: SeccompOptions): Promise<void> {
  const container = containerId(manifest.name, manifest.version);
  if (manifest.seccomp === undefined) {
    if (output === 'table') process.stdout.write(`${container} has no seccomp section: every system call is let in\n`);
    else process.stdout.write(await render({ container, architecture: arch, calls: null, filter: null }, output));
    return;
  }
  const rules = seccompRules(manifest.seccomp, manifest.capabilities ?? []);
  const filter = describeFilter(arch, rules);
  const calls = [...rules].sort(([a], [b]) => (a < b ? -1 : 1)).filter(([name]) => hasCall(name, arch));
  const beside = besideProfile(manifest.seccomp);
  const instructions = compileFor(arch, rules, beside).length / instruction;
  if (output !== 'table') {
    const listed = calls.map(([name, rule]) => ({ name, when: conditionOf(rule) }));
    process.stdout.write(
      await render(
        { container, architecture: arch, calls: listed, newest: beside.newest ?? null, instructions, filter },
        output,
      ),
    );
    return;
  }
  const skipped = [...rules.keys()].filter((name) => !isSyscall(name));
  for (const name of skipped)
    process.stderr.write(`northstate: ${printable(name)} is skipped: no architecture has it\n`);
  process.stdout.write(`${container} on ${arch}; whatever is not listed ends the process with SIGSYS\n`);
  if (beside.newest !== undefined)
    process.stdout.write(`what is newer than ${beside.newest} and not listed is answered with ENOSYS\n`);
  process.stdout.write('\n');
  process.stdout.write(await table(calls.map(([name, rule]) => [name, conditionOf(rule)])));
  process.stdout.write(`\nThe filter: ${instructions} instructions\n${filter}`);
}

/** When a call is let in, in words; '' = always. */
function conditionOf(rule: FilterRule): string {
  if (rule === 'any') return '';
  if ('errno' in rule) return `answered with ${errnoName(rule.errno)}`;
  return rule.anyOf.length === 0 ? 'never' : rule.anyOf.map(testText).join(', or ');
}

function testText(test: ArgumentTest): string {
  const what = 'value' in test ? `is 0x${test.value.toString(16)}` : `has no bit outside 0x${test.mask.toString(16)}`;
  return `argument ${test.index} ${what}`;
}

/** A `seccomp` section for a manifest: what was called and is not let in by the default profile, or all that was called. */
function profileOf(log: string, file: string, { defaultProfile }: SeccompOptions): string {
  const calls = tracedCalls(log);
  if (calls.length === 0)
    throw new Failure(`${file} names no system call`, { hint: 'give it the output of strace -f' });
  const base = defaultProfile ? seccompRules({ profile: 'default' }, []) : new Map<string, FilterRule>();
  const needed = calls.filter(({ name, arguments: args }) => !base.has(name) || makesNamespace(name, args));
  const names = [...new Set(needed.map(({ name }) => name))].sort();
  const unknown = names.filter((name) => !isSyscall(name));
  for (const name of unknown) process.stderr.write(`northstate: ${name} is left out: no architecture has it\n`);
  const allowed = names.filter((name) => !unknown.includes(name)).map((name) => `    ${name}: any\n`);
  const profile = defaultProfile ? '  profile: default\n' : '';
  return `seccomp:\n${profile}${allowed.length === 0 ? '' : `  allow:\n${allowed.join('')}`}`;
}
