// What a container is given, as text that is the same on every machine: what the kernel tells of the process, and what the
// process itself has found out (payload/report*.c).
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { capabilityNames } from '../../state/names.ts';
import { field } from '../support/container-processes.ts';

/** What comes last in a report: it differs between architectures. */
export const callsTitle = '## System calls';

/** `pid` is the application's on the host, `said` its report. */
export function reportOf(pid: number, said: readonly string[]): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const sections = [
    ['## Identity', identity(status)],
    ['## Capabilities', capabilities(status)],
    ['## Namespaces', namespaces(pid)],
    ['## Mounts', mounts(pid)],
    ['## Descriptors', descriptors(pid)],
    ['## Process', said.filter((line) => !/^(calls?|device|can write|shows) /.test(line))],
    ['## Devices', after(said, 'device ').filter((line) => !/^\/(proc|sys)\/\S+ character 1:3: opens$/.test(line))],
    ['## Can write', after(said, 'can write ')],
    ['## Shown of the host', after(said, 'shows ')],
    [callsTitle, calls(said)],
  ] as const;
  const texts = sections.map(([title, lines]) => `${title}\n${(lines.length > 0 ? lines : ['none']).join('\n')}\n`);
  return texts.join('\n');
}

function identity(status: string): string[] {
  return [
    `uid ${ids(status, 'Uid')}`,
    `gid ${ids(status, 'Gid')}`,
    `groups ${field(status, 'Groups') || 'none'}`,
    `no_new_privs ${field(status, 'NoNewPrivs') ?? '?'}`,
    `seccomp ${field(status, 'Seccomp') === '2' ? 'a filter' : 'none'}`,
  ];
}

/** Real, effective, saved and of the file system: one number when they are the same. */
function ids(status: string, name: string): string {
  return [...new Set(field(status, name)?.split('\t'))].join(' ');
}

function capabilities(status: string): string[] {
  const sets = ['Bnd', 'Prm', 'Eff', 'Inh', 'Amb'].map((set) => {
    const bits = BigInt(`0x${field(status, `Cap${set}`) ?? '0'}`);
    const names = capabilityNames.filter((_, bit) => (bits & (1n << BigInt(bit))) !== 0n);
    return [set, names.length > 0 ? names : ['none']] as const;
  });
  const [, first] = sets[0] ?? ['', []];
  if (sets.every(([, names]) => names.join() === first.join())) return [wrapped('all five sets:', first)];
  return sets.map(([set, names]) => wrapped(`${set}:`, names));
}

/** Compared with those of this process, which is the runtime's host. */
function namespaces(pid: number): string[] {
  return ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts'].map((name) => {
    const own = readlinkSync(`/proc/${pid}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`);
    return `${name}: ${own ? 'its own' : "the host's"}`;
  });
}

/**
 * Target, what is there, and the flags of the mount (proc_pid_mountinfo(5)). What hides a path of /proc or /sys is left
 * out, since which of them there are is the kernel's: those that are not hidden show further down.
 */
function mounts(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trimEnd().split('\n');
  return lines
    .map((line) => {
      const [mount = '', filesystem = ''] = line.split(' - ');
      const [, , , root = '', target = '', flags = '', ...propagation] = mount.split(' ');
      const [type = '', , options = ''] = filesystem.split(' ');
      const what = /^(squashfs|erofs)$/.test(type) ? `image ${root}` : root === '/' ? type : `bind ${basename(root)}`;
      const size = type === 'tmpfs' && root === '/' ? /\bsize=\w+/.exec(options)?.[0] : undefined;
      const kept = flags.split(',').filter((flag) => !flag.endsWith('atime'));
      return [target, what, kept.join(','), size, propagation.join(' ')].filter(Boolean).join(' ');
    })
    .filter((line) => !/^\/(proc|sys)\/\S+ (bind null |tmpfs ro,)/.test(line))
    .sort();
}

const O_ACCMODE = 3;

function descriptors(pid: number): string[] {
  const numbers = readdirSync(`/proc/${pid}/fd`).map(Number);
  return numbers
    .sort((a, b) => a - b)
    .map((fd) => {
      const flags = Number.parseInt(
        /^flags:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '',
        8,
      );
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, '');
      return `${fd}: ${target}, ${['to read', 'to write', 'to read and write'][flags & O_ACCMODE] ?? 'of no use'}`;
    });
}

function after(said: readonly string[], prefix: string): string[] {
  return said
    .filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length))
    .sort();
}

function calls(said: readonly string[]): string[] {
  const found = after(said, 'call ');
  const parts = ['', ' without arguments', ' with arguments'].map((how) => {
    const names = found.filter((name) => (how === '' ? !name.includes(' ') : name.endsWith(how)));
    return [how, names.map((name) => name.slice(0, name.length - how.length))] as const;
  });
  const lists = parts.flatMap(([how, names]) => (names.length > 0 ? [`let in${how}:`, ...byLetter(names)] : []));
  return [
    ...lists,
    ...found.filter((name) => name.includes(': ')),
    ...said.filter((line) => line.startsWith('calls ')),
  ];
}

/** A name more changes the lines of its letter only. */
function byLetter(names: readonly string[]): string[] {
  return [...Map.groupBy(names, (name) => name.charAt(0))].map(([letter, group]) => wrapped(`${letter}:`, group));
}

function wrapped(head: string, words: readonly string[]): string {
  const lines: string[] = [];
  let line = head;
  for (const word of words) {
    if (line.length + word.length + 1 > 120) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}
