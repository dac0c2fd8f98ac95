// Imperative commands as patches of the document.

/** What a person or a client may order. `container` is name:version, `name` a container's name. */
export type Command =
  | {
      readonly type: 'start';
      readonly container: string;
      /** Each replaces the entry's for this one run, when given and not empty. */
      readonly init?: string | null | undefined;
      readonly args?: readonly string[] | undefined;
      readonly env?: Readonly<Record<string, string>> | undefined;
    }
  | { readonly type: 'kill'; readonly container: string; readonly signal: number }
  | { readonly type: 'stop'; readonly name: string }
  | { readonly type: 'mount'; readonly container: string }
  | { readonly type: 'umount'; readonly container: string }
  | { readonly type: 'install-entry'; readonly container: string; readonly repository: string; readonly mem: boolean }
  | { readonly type: 'uninstall'; readonly container: string; readonly wipe: boolean }
  | { readonly type: 'restart'; readonly name: string }
  | { readonly type: 'update'; readonly name: string };
