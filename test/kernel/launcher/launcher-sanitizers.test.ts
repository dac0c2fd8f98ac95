// The launcher's tests once more, with the address and undefined-behaviour sanitizers in it: a finding ends the launcher.
process.env['LAUNCHER_BUILD'] = 'asan';
// The launcher keeps what it has until its end: that is no leak.
process.env['ASAN_OPTIONS'] = 'detect_leaks=0';
await import('./launcher.test.ts');
await import('./launcher-attempts.test.ts');
await import('./launcher-reexec.test.ts');
export {};
