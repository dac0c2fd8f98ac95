// Whether the kernel can tell of changes: inotify(7) has limits for each user, and other programs use them up, too.
import { watchNames } from '../../state/file/names-watch.ts';
import { presence, type Feature } from './feature.ts';
import { textOf } from './kernel-config.ts';

const limits = ['max_user_instances', 'max_user_watches'] as const;

export function watchFeatures(): Feature[] {
  const reasons: (string | null)[] = [];
  const blind = (reason: string | null): void => void reasons.push(reason);
  watchNames('/', { changed: () => undefined, unknown: () => undefined, blind }).close();
  const why = reasons[0] ?? null;
  const found = limits
    .map((name) => `${name} ${(textOf(`/proc/sys/fs/inotify/${name}`) ?? 'unknown').trim()}`)
    .join(', ');
  return [
    {
      ...{ group: 'kernel', name: 'inotify', required: false, presence: presence(why === null) },
      detail: why === null ? found : `changes of files show late: ${why} (${found})`,
      enable: 'sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=65536; CONFIG_INOTIFY_USER',
    },
  ];
}
