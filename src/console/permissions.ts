// Who may ask what. Northstar has fifteen permissions; every request that is ours has one under its own name.
import { requestNames, type Request, type RequestName } from './protocol.ts';

export type Permission =
  Exclude<RequestName, 'token_verify'> | 'notifications' | 'start_command' | 'token_verification';

/** Everything, or what is listed: nothing is allowed by default. */
export type Permissions = 'full' | readonly Permission[];

export const permissionNames: readonly Permission[] = [
  ...requestNames.map((name) => (name === 'token_verify' ? 'token_verification' : name)),
  'notifications',
  'start_command',
];

/** Whether one permission is among those given. */
export function grants(permissions: Permissions, permission: Permission): boolean {
  return permissions === 'full' || permissions.includes(permission);
}

/** Whether a request is allowed. A start with an init, arguments or variables of its own needs `start_command` instead of `start`. */
export function allows(permissions: Permissions, request: Request): boolean {
  return grants(permissions, needed(request));
}

function needed(request: Request): Permission {
  if (request.name === 'token_verify') return 'token_verification';
  if (request.name !== 'start') return request.name;
  const { init, arguments: args, environment } = request.body;
  return init !== null || args.length > 0 || Object.keys(environment).length > 0 ? 'start_command' : 'start';
}
