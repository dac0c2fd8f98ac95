// How much the log says, and where.

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogLevel = (typeof logLevels)[number];

export const logTargets = ['auto', 'stderr', 'journal'] as const;

export type LogTarget = (typeof logTargets)[number];
