import packageJson from '../package.json' with { type: 'json' };

/** The version of northstate. */
export const runtimeVersion = packageJson.version;
