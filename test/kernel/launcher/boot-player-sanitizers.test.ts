// The boot player's tests once more, with the address and undefined-behaviour sanitizers in it.
process.env['PLAYER_BUILD'] = 'asan';
await import('./boot-player.test.ts');
await import('./boot-player-configuration.test.ts');
export {};
