// A container as the host's /proc and its control groups show it, without what differs from one start to the next.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { hostPid } from './container-processes.ts';

const fields =
  /^(?:Uid|Gid|Groups|NoNewPrivs|Seccomp\w*|Cap\w+|Sig(?:Blk|Ign|Cgt)|Umask|NSpid|Cpus_allowed|Mems_allowed):/;
/** What a group only counts. */
const limits =
  /\.(?:limit_in_bytes|shares|max|min|low|high|weight|swappiness|cpus|mems|cfs_\w+|rt_\w+|descendants|\w+_bps_device|cpu\.max)$/;

/** By topic. `pid` is the init's, as the status has it. */
export function worldOf({ pid: init }: { readonly pid: number }): Record<string, unknown> {
  const pid = hostPid({ pid: init });
  const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  const status = read('status')
    .split('\n')
    .filter((line) => fields.test(line))
    .map((line) => (line.startsWith('NSpid') ? `NSpid ${line.split('\t').length}` : line));
  return {
    status,
    limits: read('limits'),
    command: read('cmdline').split('\0'),
    environment: read('environ').split('\0').toSorted(),
    score: read('oom_score_adj'),
    label: read('timerslack_ns'),
    mounts: read('mountinfo').trim().split('\n').map(mountOf),
    descriptors: readdirSync(`/proc/${pid}/fd`).map((fd) => `${fd} ${descriptor(`/proc/${pid}/fd/${fd}`)}`),
    groups: read('cgroup')
      .trim()
      .split('\n')
      // Each runtime has a hierarchy of its own, in which nothing is (native/quick-moves.ts).
      .filter((line) => !/:name=northstate-\d+:/.test(line))
      .map((line) => line.replace(/^\d+:/, '').replace(/\/\d+$/, '/N'))
      .toSorted(),
    values: valuesOf(read('cgroup')),
    sockets: [...read('net/unix').matchAll(/ ([@/]\S+)$/gm)].map(([, name]) => name),
    namespaces: readdirSync(`/proc/${pid}/ns`).toSorted(),
  };
}

/** Without ids and numbers of devices. */
function mountOf(line: string): string {
  const [ids = '', type = ''] = line.split(' - ');
  const [, , , root, target, options] = ids.split(' ');
  return [root, target, options, type.replace(/\/dev\/(?:loop\d+|mapper\/\S+|dm-\d+)/, 'DEVICE')].join(' ');
}

function descriptor(path: string): string {
  return readlinkSync(path).replace(/\[\d+\]/, '[]');
}

/** What the files of its groups allow, in the leaf and in the name's group. */
function valuesOf(table: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of table.trim().split('\n')) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const mount = controllers === '' ? 'unified' : controllers.replace('name=', '');
    for (const directory of [path, join(path, '..')]) {
      const group = join('/sys/fs/cgroup', mount, directory);
      for (const file of filesOf(group)) {
        if (limits.test(file))
          values[`${mount} ${directory === path ? 'leaf' : 'group'} ${file}`] = textOf(join(group, file));
      }
    }
  }
  return values;
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? '';
  }
}
