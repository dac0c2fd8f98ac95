// northstate check: whether this host can run northstate, and what to change.
import { release } from 'node:os';
import { styleText } from 'node:util';
import { checkHost } from '../check/check-host.ts';
import { kernelFragment } from '../check/kernel-fragment.ts';
import { isGood, type Feature } from '../check/feature.ts';
import { exitCodes } from './exit.ts';
import { printable, render, table, type Format } from './output.ts';

/**
 * Prints what is there and what is not; ends with exit code 1 when something is missing that nothing runs without. `kconfig` is
 * a fragment for a kernel's configuration, whatever this kernel has.
 */
export async function check({ output }: { readonly output: Format | 'kconfig' }): Promise<void> {
  const features = await checkHost();
  if (output === 'kconfig') {
    process.stdout.write(kernelFragment(features));
    return;
  }
  const ok = isGood(features);
  if (output === 'table') process.stdout.write(await text(features, ok));
  else process.stdout.write(await render({ ok, kernel: release(), features }, output));
  if (!ok) process.exitCode = exitCodes.error;
}

async function text(features: readonly Feature[], ok: boolean): Promise<string> {
  const header = ['', 'FEATURE', 'STATE', 'DETAIL', 'TO ENABLE'].map((title) => styleText('bold', title));
  const rows = features.map((feature, index) => [
    feature.group === features[index - 1]?.group ? '' : feature.group,
    feature.name,
    stateOf(feature),
    printable(feature.detail),
    feature.presence === 'present' ? '' : (feature.enable ?? ''),
  ]);
  const verdict = ok
    ? styleText('green', 'this host can run northstate')
    : styleText('red', 'this host cannot run northstate');
  return `${await table([header, ...rows])}${verdict}\n`;
}

function stateOf({ presence, required }: Feature): string {
  if (presence === 'present') return styleText('green', 'there');
  if (presence === 'unknown') return styleText('yellow', 'unknown');
  return required ? styleText('red', 'MISSING') : styleText('yellow', 'not there');
}
