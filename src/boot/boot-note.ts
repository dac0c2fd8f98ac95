// That this boot has had its reconciler: a launcher that is started again in it plays no boot plan.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Notes the boot's id in runDir. Throws the errno. */
export function noteBoot(runDir: string, boot: string): void {
  writeFileSync(join(runDir, 'boot'), boot, { mode: 0o600 });
}
