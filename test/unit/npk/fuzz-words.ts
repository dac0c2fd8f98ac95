// Manifests that use everything, in every syntax and dialect, and pieces that upset readers of them.

export const manifests: readonly string[] = [
  `name: a
version: 1.0.0
console: { permissions: [ident, list] }
init: /a
args: [a, 'b', "c\\n"]
env: { A: b, C: 1.50 }
uid: 1000
gid: 1001
sched: { policy: !fifo { priority: 7 } }
mounts:
  /proc: { type: proc }
  /dev: { type: dev }
  /data: { type: persist }
  /tmp: { type: tmpfs, size: 20M }
  /lib: { type: bind, host: /lib, options: 'rw,nosuid' }
  /r: { type: resource, name: r, version: '>=1, <2', dir: /x }
autostart: relaxed
cgroups: { cpu: { shares: 100 }, memory: { memory_hard_limit: 1000000 } }
network: !namespace blue
seccomp: { profile: default, allow: { read: any, write: !args { index: 0, values: [1, 18446744073709551615] } } }
selinux: { exec: a:b }
capabilities: [CAP_KILL]
suppl_groups: [inet]
rlimits: { nproc: { soft: 1, hard: 2 } }
sockets: { s: { type: stream, mode: 0o600 } }
io: { stdout: pipe, stderr: discard }
custom: { list: [1, [2, []], {}] }
`,
  'name: a\nversion: 1.0.0\ninit: /a\nargs:\n- a\n- b\nuid: 1\ngid: 2\nmounts:\n  /proc:\n    type: proc\n',
  `name: old
version: 0.0.1
init: /hello
uid: 1000
gid: 1000
env: { RUST_BACKTRACE: 1 }
autostart: true
cgroups: { cpu: { shares: 100 }, memory: { limit_in_bytes: 10000000, swappiness: 0 } }
seccomp: { clone: 1, mmap: arg2 in ~PROT_EXEC || arg2 in ~PROT_WRITE, socket: 'arg0 == AF_UNIX | 2' }
mounts: { /lib: { host: /lib, flags: [rw] }, /tmp: { tmpfs: 20m }, /data: persist, /m: { resource: "m:0.0.1/x" } }
capabilities: [cap_net_raw]
io: { stdout: { log: [DEBUG, hello] } }
`,
  '{"name":"a","version":"1.0.0","init":"/a","uid":1,"gid":2,"sched":{"policy":{"fifo":{"priority":7}}},"custom":[1e3,null]}',
  `name = "a"
version = "1.0.0"
init = "/a"
uid = 1
gid = 2
args = ["a", 'b', """c"""]
[mounts."/proc"]
type = "proc"
[[custom.list]]
x = { y = 1, z.w = [1, 2] }
[[custom.list]]
t = 1979-05-27T07:32:00Z
`,
];

export const words: readonly string[] = [
  ...[
    '\n',
    '  ',
    ' ',
    '\t',
    '\r\n',
    ':',
    ': ',
    '- ',
    ', ',
    '{',
    '}',
    '[',
    ']',
    '[[',
    ']]',
    '"',
    "'",
    '"""',
    "'''",
    '=',
    '.',
  ],
  ...['!x ', '!fifo ', '!!map ', '&a ', '*a ', '#', '~', '|', '>', '%', '@', '`', '---\n', '...\n', '? ', '<<: ', '\\'],
  ...['0', '-1', '1e3', '0x10', '18446744073709551616', '.inf', 'null', 'true', 'type: ', '__proto__: ', 'constructor'],
  ...['..', '/', '/a/../b', '\u0000', 'ü', '\ufeff', '\u2028', '\ud800', 'name', 'arg2 in ', ' || ', '~', '&& '],
];
