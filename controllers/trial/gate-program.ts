// The program of a gate: run on the host without a shell, in a process group of its own, which ends with it.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { childrenOf } from '../../native/processes.ts';
import { hasErrno } from '../../state/errno.ts';

/** In the environment of each: a reconciler that was killed could end none of them. */
const mark = 'NORTHSTATE_GATE=1';

export interface GateProgram {
  /** What it has come to, for a person; null = it says yes. */
  readonly answer: Promise<string | null>;
  /** Ends it at once, and what it has started. */
  end(): void;
}

/** Starts a program and its arguments with nothing of ours but standard descriptors that are closed, for `timeout` ms at most. */
export function startGateProgram([program = '', ...args]: readonly string[], timeout: number): GateProgram {
  const [name = '', value = ''] = mark.split('=');
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', [name]: value };
  const child = spawn(program, args, { cwd: '/', stdio: 'ignore', detached: true, env });
  const end = (): void => endGroup(child.pid);
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const timer = setTimeout(end, timeout);
  child.on('error', (error) => resolve(`cannot be run: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (code === 0) resolve(null);
    else
      resolve(
        signal === null ? `says no (exit status ${code})` : `was ended by ${signal}, after ${timeout} ms at most`,
      );
  });
  const answer = promise.finally(() => {
    clearTimeout(timer);
    // What it has left behind.
    end();
  });
  return { answer, end };
}

/** Ends the programs that a reconciler before us has left: they are the launcher's children now. */
export function endLeftPrograms(launcher: number): void {
  for (const pid of childrenOf(launcher)) if (isGateProgram(pid)) endGroup(pid);
}

function isGateProgram(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark);
  } catch {
    return false; // it has ended, or is none of ours
  }
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!hasErrno(error, 'ESRCH')) throw error;
  }
}
