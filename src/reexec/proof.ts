// A reconciler that proves itself: it reads all that was handed over, looks at everything, and says what it would do, which it does
// not. Its launcher passes nothing on, and what it writes to are copies.
import { rmSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { dirname } from 'node:path';
import { messageOf } from '../../state/errno.ts';
import { openKeptFile } from '../console/server/kept-file.ts';
import { keptConfiguration } from '../daemon/checked-configuration.ts';
import { openControllers } from '../daemon/daemon-controllers.ts';
import { openState } from '../daemon/daemon-state.ts';
import type { LauncherLink } from '../daemon/launcher-link.ts';
import { checkForm } from '../daemon/state-form.ts';
import { openLog } from '../logs/log.ts';
import { runtimeVersion } from '../runtime-version.ts';
import { copyKept, copyState, keepUnderstood } from './proof-state.ts';
import { encodeReport, type ProofReport } from './report.ts';

/** Characters of a reason that reach whoever has asked. */
const longest = 240;

/** Proves, or says why it cannot; the launcher ends this process then. */
export async function prove(link: LauncherLink): Promise<void> {
  const { launcher, remembered } = link;
  const own = { ...link, remembered: { ...remembered, descriptors: copyKept(remembered.descriptors) } };
  try {
    const report = await look(own);
    // What was compiled for this is compiled for the start that follows.
    flushCompileCache();
    await launcher.proven(true, encodeReport(report));
  } catch (error) {
    process.stderr.write(`northstate: northstate ${runtimeVersion} does not take over: ${messageOf(error)}\n`);
    await launcher.proven(false, Buffer.from(`northstate ${runtimeVersion}: ${messageOf(error)}`.slice(0, longest)));
  }
}

async function look(link: LauncherLink): Promise<ProofReport> {
  const { descriptors } = link.remembered;
  const config = await keptConfiguration(link);
  await checkForm(config.stateDir);
  const copied = copyState(config);
  try {
    for (const [name, fd] of descriptors) if (/^connection .+ file$/.test(name)) openKeptFile(fd);
    const failed = Promise.withResolvers<never>();
    const log = openLog({ ...config.log, level: 'warn' });
    const daemon = { config: copied, log, link, failed: failed.reject };
    const real = { runDir: config.runDir, owner: config.stateDir };
    const report = await Promise.race([failed.promise, plan(daemon, real)]);
    keepUnderstood(copied, config);
    return report;
  } finally {
    rmSync(dirname(copied.stateDir), { recursive: true, force: true });
  }
}

async function plan(
  daemon: Parameters<typeof openState>[0],
  real: { readonly runDir: string; readonly owner: string },
): Promise<ProofReport> {
  const state = await openState(daemon);
  const steps: ProofReport['steps'] = [];
  const { reconciler } = await openControllers({
    ...{ ...daemon, state },
    openConsole: () => Promise.reject(new Error('who proves itself starts nothing')),
    proof: { ...real, would: ({ op, name }) => void steps.push({ op, name }) },
  });
  await new Promise<void>((resolve) => {
    reconciler.onSettled(resolve);
    reconciler.start();
  });
  const { document, desired } = state.store.get();
  return { runtime: runtimeVersion, generation: document.generation, containers: desired.containers.size, steps };
}
