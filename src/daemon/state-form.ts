// Of which form stateDir is: a file in it says so, and which form a runtime must understand to work with it. What is in it may say
// more than a runtime knows, which passes over that; what must not be passed over raises `needs`.
//
// It covers whatever a runtime leaves to another version: what is in stateDir, the files of runDir (overlay.json, cgroups.json, run
// notes, packages.json), the records of attempts, and the files in memory that the launcher keeps. They have no version of their
// own, since they are of one runtime and are read by another in a takeover only, which asks for this form first; a boot empties
// runDir. A generation names its schema besides, so that an older runtime finds the newest that it understands.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../cli/exit.ts';
import { hasErrno, ifMissing } from '../../state/errno.ts';
import { prepareFile } from '../../state/file/write-file.ts';
import { runtimeVersion } from '../runtime-version.ts';

/** Raised with every change of what is stored: 2 has generations that are patches of others. */
const form = 2;
/** The oldest form that a runtime must have to read what this one stores. */
const needs = 1;
/** The same once a generation is stored as a patch (state/document/generation-files.ts): others would miss the newest. */
const needsOfPatches = 2;

interface Form {
  readonly form: number;
  readonly needs: number;
  /** The version that has written this. */
  readonly runtime: string;
}

const fileOf = (stateDir: string): string => join(stateDir, '.form');

async function read(stateDir: string): Promise<Form | null> {
  const text = await readFile(fileOf(stateDir), 'utf8').catch(ifMissing);
  if (text === null) return null;
  const found = JSON.parse(text) as Partial<Form>;
  if (typeof found.form === 'number' && typeof found.needs === 'number') return { runtime: '?', ...found } as Form;
  throw new Failure(`${fileOf(stateDir)} says no form; remove it when what is beside it is this version's`);
}

/** Rejects with a Failure that names the version which is needed, where this one would not understand what is stored. */
export async function checkForm(stateDir: string): Promise<void> {
  const found = await read(stateDir);
  if (found === null || found.needs <= form) return;
  throw new Failure(
    `${stateDir} is of form ${found.form}, written by northstate ${found.runtime}; northstate ${runtimeVersion} reads form ${form}`,
    { hint: `run northstate ${found.runtime} or later, or name another stateDir` },
  );
}

/** Says so from now on, unless it says more already. On a disk that takes nothing it stays as it is. */
export async function noteForm(stateDir: string): Promise<void> {
  await raise(stateDir, needs);
}

/** Has versions that know no patches of generations refuse this stateDir; gives whether they do. */
export async function notePatches(stateDir: string): Promise<boolean> {
  return await raise(stateDir, needsOfPatches);
}

async function raise(stateDir: string, least: number): Promise<boolean> {
  const found = await read(stateDir);
  if (found !== null && found.form >= form && found.needs >= least) return true;
  const next: Form = {
    form: Math.max(form, found?.form ?? 0),
    needs: Math.max(least, found?.needs ?? 0),
    runtime: found !== null && found.form > form ? found.runtime : runtimeVersion,
  };
  try {
    await (await prepareFile(fileOf(stateDir), `${JSON.stringify(next)}\n`)).commit();
    return true;
  } catch (error) {
    if (!hasErrno(error, 'EROFS', 'ENOSPC', 'EDQUOT')) throw error;
    return false;
  }
}
